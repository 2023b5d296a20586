"""Small autoencoders on small pictures: the variants of objectives/, trained in seconds on a CPU."""
