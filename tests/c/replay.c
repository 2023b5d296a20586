/* Runs a fuzz target over the files of its corpus, given as arguments. Fails when there is none. */
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv) {
    CHECK(argc > 1);
    for (int i = 1; i < argc; i++) {
        static uint8_t buffer[1 << 20];
        FILE *file = fopen(argv[i], "rb");
        CHECK(file);
        size_t size = fread(buffer, 1, sizeof buffer, file);
        fclose(file);
        uint8_t *exact = exact_copy(buffer, size);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
