/** Numbers as people read them, and what a file says about itself. */
const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export function bytesText(size) {
  if (size < 1000) return `${size} B`;
  return size < 1e6 ? `${number.format(size / 1e3)} kB` : `${number.format(size / 1e6)} MB`;
}

export const timeText = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
export const decibelText = (value) => (value === Infinity ? "exact" : `${value.toFixed(2)} dB`);
export const bppText = (value) => value.toFixed(value < 1 ? 3 : 2);

const TURNS = [
  "",
  "upright",
  "mirrored",
  "half turn",
  "mirrored, half turn",
  "mirrored, quarter turn",
  "quarter turn",
  "mirrored, three quarter turn",
  "three quarter turn",
];

/** info() -> [[term, description], ...] */
export function factsOf(info, model) {
  const blocks = info.groups.reduce((sum, group) => sum + group.pixel_blocks, 0);
  const known = {
    iCCP: "ICC profile",
    eXIF: "EXIF",
    xMPd: "XMP",
    rESo: "resolution",
    ALPH: "alpha, exact",
    ALPC: "alpha, with loss",
  };
  const metadata = info.sections.filter(({ tag }) => known[tag]);
  return [
    ["Format", `version ${info.format_version}`],
    [
      "Picture",
      `${info.width} × ${info.height}, ${info.channels === 1 ? "grey" : "RGB"}, ${info.depth} bits`,
    ],
    ["Orientation", TURNS[info.orientation]],
    ["Quality", `${info.quality} (level ${info.level.toFixed(2)})`],
    ["Model", `${model} ${info.model_id}`],
    ["Groups", `${info.group_grid[1]} × ${info.group_grid[0]} of ${16 * info.group_edge} pixels`],
    ["Pixel blocks", blocks ? bytesText(blocks) : "none"],
    [
      "Beside pixels",
      metadata.map(({ tag, size }) => `${known[tag]} (${bytesText(size)})`).join(", ") || "nothing",
    ],
    ["Symbols CRC-32C", `${info.symbols_crc32c}, checked`],
    ["Bytes", new Intl.NumberFormat("en").format(info.bytes)],
  ];
}

/** Fills a <dl>. */
export function listFacts(list, pairs) {
  list.replaceChildren(
    ...pairs.flatMap(([term, description]) => {
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      [dt.textContent, dd.textContent] = [term, description];
      return [dt, dd];
    }),
  );
}
