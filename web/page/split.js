/** Two pictures over each other, divided by a line; moved, zoomed and divided together by pointer or keys. */
const STEP = 40;

export class Split {
  #stage;
  #canvases;
  #range;
  #size = { width: 1, height: 1 };
  #view = { x: 0, y: 0, scale: 1 };
  #zoom = "fit";
  #pointers = new Map();
  #dividing = false;

  /** stage: the element with both canvases; range: the input that holds where the line is, in percent. */
  constructor(stage, canvases, divider, range) {
    [this.#stage, this.#canvases, this.#range] = [stage, canvases, range];
    range.addEventListener("input", () => this.#divide());
    stage.addEventListener("pointerdown", (event) => this.#down(event, event.target === divider));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const kind of ["pointerup", "pointercancel"])
      stage.addEventListener(kind, (event) => this.#up(event));
    stage.addEventListener("keydown", (event) => this.#key(event));
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    new ResizeObserver(() => this.#place()).observe(stage);
    this.#divide();
  }

  /** side: 0 left, 1 right. */
  show(side, image) {
    const canvas = this.#canvases[side];
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d").putImageData(image, 0, 0);
    if (this.#size.width !== image.width || this.#size.height !== image.height) {
      this.#size = { width: image.width, height: image.height };
      this.zoom("fit");
    }
    this.#place();
  }

  /** "fit", or screen pixels for each pixel of the picture. */
  zoom(value) {
    this.#zoom = value;
    const { clientWidth: width, clientHeight: height } = this.#stage;
    const before = this.#view.scale;
    const scale = this.#scale();
    const [cx, cy] = [width / 2, height / 2];
    const { x, y } = this.#view;
    this.#view = { scale, x: cx - ((cx - x) * scale) / before, y: cy - ((cy - y) * scale) / before };
    this.#place();
  }

  onZoom = () => {};

  #fit() {
    const { clientWidth, clientHeight } = this.#stage;
    return Math.min(clientWidth / this.#size.width, clientHeight / this.#size.height, 4);
  }

  #scale() {
    return this.#zoom === "fit" ? this.#fit() : Number(this.#zoom) / devicePixelRatio;
  }

  #place() {
    const { clientWidth, clientHeight } = this.#stage;
    if (this.#zoom === "fit") this.#view.scale = this.#fit();
    const { scale } = this.#view;
    const inside = (at, room, length) =>
      length <= room ? (room - length) / 2 : Math.min(0, Math.max(room - length, at));
    this.#view.x = inside(this.#view.x, clientWidth, this.#size.width * scale);
    this.#view.y = inside(this.#view.y, clientHeight, this.#size.height * scale);
    for (const canvas of this.#canvases) {
      canvas.style.transform = `translate(${this.#view.x}px, ${this.#view.y}px) scale(${scale})`;
      canvas.classList.toggle("large", scale * devicePixelRatio >= 1.5);
    }
  }

  #divide() {
    this.#stage.style.setProperty("--split", `${this.#range.value}%`);
  }

  #down(event, onDivider) {
    this.#stage.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, event);
    this.#dividing = onDivider && this.#pointers.size === 1;
    this.#stage.classList.add("moving");
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    if (this.#dividing) {
      const { left, width } = this.#stage.getBoundingClientRect();
      this.#range.value = String((100 * (event.clientX - left)) / width);
      this.#divide();
    } else if (this.#pointers.size === 2) {
      const [other] = [...this.#pointers.values()].filter(({ pointerId }) => pointerId !== event.pointerId);
      const apart = (a) => Math.hypot(a.clientX - other.clientX, a.clientY - other.clientY) || 1;
      this.#zoomAt(apart(event) / apart(before), other);
    } else {
      this.#pan(event.clientX - before.clientX, event.clientY - before.clientY);
    }
    this.#pointers.set(event.pointerId, event);
  }

  #up(event) {
    this.#pointers.delete(event.pointerId);
    if (!this.#pointers.size) this.#stage.classList.remove("moving");
    this.#dividing = false;
  }

  #pan(dx, dy) {
    this.#view.x += dx;
    this.#view.y += dy;
    this.#place();
  }

  #zoomAt(factor, { clientX, clientY }) {
    const { left, top } = this.#stage.getBoundingClientRect();
    const [cx, cy] = [clientX - left, clientY - top];
    const scale = Math.max(this.#fit(), Math.min(16, this.#view.scale * factor));
    const ratio = scale / this.#view.scale;
    this.#zoom = scale === this.#fit() ? "fit" : scale * devicePixelRatio;
    this.#view = { scale, x: cx - (cx - this.#view.x) * ratio, y: cy - (cy - this.#view.y) * ratio };
    this.#place();
    this.onZoom(this.#zoom);
  }

  #wheel(event) {
    if (!event.ctrlKey) return; // the page scrolls; a pinch on a touchpad comes with ctrlKey
    event.preventDefault();
    this.#zoomAt(Math.exp(-event.deltaY / 200), event);
  }

  #key(event) {
    const moves = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
    if (!moves[event.key]) return;
    event.preventDefault();
    this.#pan(...moves[event.key]);
  }
}
