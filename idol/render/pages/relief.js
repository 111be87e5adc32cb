// A video as a relief, drawn by WebGL2 from the arrays that idol.render.page packs. The geometry is
// that of idol/render/surface.py and scene.py: each pixel is a square, and squares share corners
// where depth does not jump.
import { clamp, data, el, still, themeButton } from "./kit.js";

const scene = data("relief");
const told = data("told");
const by = (id) => document.getElementById(id);

const VERTEX = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
precision highp isampler2D;
precision highp sampler2D;
uniform usampler2D depths;
uniform isampler2D offsets;
uniform sampler2D nodes;
uniform int layer;        // 0 the place, 1 what is hidden, 2 the person
uniform ivec2 size;       // of the grid of depth, or of the nodes
uniform vec2 scale;       // depth of 1, and of a step
uniform float cut;
uniform float nudge;
uniform float depthScale;
uniform vec2 margin;
uniform vec4 lens;        // tangents of half the angles of view, and the centre
uniform mat3 turn;
uniform vec3 pivot;
uniform vec2 fit;
out vec2 place;

float depthAt(ivec2 p) {
  if (any(lessThan(p, ivec2(0))) || any(greaterThanEqual(p, size))) return 0.0;
  ivec2 at = p;
  if (layer == 1) {
    ivec2 away = texelFetch(offsets, p, 0).rg;
    if (away.x == -128) return 0.0;
    at += away;
  }
  uint step = texelFetch(depths, at, 0).r;
  if (step == 0u) return 0.0;
  return scale.x + scale.y * float(step) + (layer == 1 ? nudge : 0.0);
}

// What is hidden is never cut: it is there to leave no gap.
bool joined(float a, float b) {
  return a > 0.0 && b > 0.0 && (layer == 1 || abs(a - b) <= cut);
}

const ivec2 AROUND[4] = ivec2[4](ivec2(-1, -1), ivec2(0, -1), ivec2(0, 0), ivec2(-1, 0));
const int CORNERS[6] = int[6](0, 1, 2, 0, 2, 3);

void main() {
  int square = gl_VertexID / 6;
  int k = CORNERS[gl_VertexID % 6];
  int columns = layer == 0 ? size.x - 1 : size.x;
  ivec2 pixel = ivec2(square % columns, square / columns);
  ivec2 corner = pixel + ivec2(k == 1 || k == 2 ? 1 : 0, k >= 2 ? 1 : 0);
  float z;
  if (layer == 0) {
    z = texelFetch(nodes, corner, 0).r;
    place = vec2(corner) / vec2(size - 1) * (1.0 + 2.0 * margin) - margin;
  } else {
    float own = depthAt(pixel);
    place = vec2(corner) / vec2(size);
    if (own == 0.0) {
      gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
      return;
    }
    int m = (k + 2) % 4;
    float a = depthAt(corner + AROUND[(m + 1) % 4]);
    float b = depthAt(corner + AROUND[(m + 2) % 4]);
    float c = depthAt(corner + AROUND[(m + 3) % 4]);
    bool e0 = joined(own, a), e1 = joined(a, b), e2 = joined(b, c), e3 = joined(c, own);
    float total = own, count = 1.0;
    if (e0 || (e3 && e2 && e1)) { total += a; count += 1.0; }
    if ((e0 && e1) || (e3 && e2)) { total += b; count += 1.0; }
    if (e3 || (e0 && e1 && e2)) { total += c; count += 1.0; }
    z = total / count;
    if (layer == 1) {
      // Colour of the pixel that is continued here, all over the square.
      place = (vec2(pixel + texelFetch(offsets, pixel, 0).rg) + 0.5) / vec2(size);
    }
  }
  vec2 at = layer == 1 ? vec2(corner) / vec2(size) : place;
  z = max(pivot.z + (z - pivot.z) * depthScale, 0.05 * pivot.z);
  vec3 point = vec3((at - lens.zw) * 2.0 * lens.xy * z, z);
  vec3 seen = turn * (point - pivot) + pivot;
  float near = 0.02 * pivot.z, far = 100.0 * pivot.z;
  vec2 flat2 = (seen.xy / lens.xy + (2.0 * lens.zw - 1.0) * seen.z) * fit;
  gl_Position = vec4(flat2.x, -flat2.y,
    (seen.z * (far + near) - 2.0 * far * near) / (far - near), seen.z);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
uniform sampler2D picture;
uniform sampler2D alpha;
uniform sampler2D backdrop;
uniform sampler2D opacity;
uniform sampler2D invented;
uniform int layer;
uniform int soft;         // of the person: 0 what is mostly theirs, 1 the rest
uniform float marked;
uniform vec2 margin;
in vec2 place;
out vec4 colour;
const vec3 MARK = vec3(0.93, 0.2, 0.75);

void main() {
  vec2 behind = (place + margin) / (1.0 + 2.0 * margin);
  if (layer == 0) {
    vec3 c = texture(backdrop, behind).rgb;
    c = mix(c, MARK, 0.6 * marked * texture(invented, behind).r);
    colour = vec4(c, texture(opacity, behind).r);
  } else if (layer == 1) {
    colour = vec4(mix(texture(picture, place).rgb, MARK, 0.6 * marked), 1.0);
  } else {
    float a = texture(alpha, place).r;
    if ((soft == 0) != (a >= 0.5) || a < 0.004) discard;
    colour = vec4(texture(picture, place).rgb, a);
  }
}`;

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

async function unpacked(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const bitmap = (text) => createImageBitmap(new Blob([bytesOf(text)], { type: "image/webp" }),
  { colorSpaceConversion: "none", premultiplyAlpha: "none" });

/** The arrays of a frame: picture, steps of depth, alpha and offsets. */
async function frameArrays(index) {
  const [picture, planes] = await Promise.all([
    bitmap(scene.frames[index]), unpacked(scene.depth[index])]);
  const [width, height] = scene.grid;
  const count = width * height;
  const steps = new Uint16Array(count);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0, last = 0; x < width; x++, at++) {
      last = (last + (planes[at] << 8 | planes[count + at])) & 0xffff;
      steps[at] = last;
    }
  }
  const offsets = new Int8Array(2 * count);
  for (let at = 0; at < count; at++) {
    offsets[2 * at] = planes[3 * count + at];
    offsets[2 * at + 1] = planes[4 * count + at];
  }
  return { picture, steps, alpha: planes.subarray(2 * count, 3 * count), offsets };
}

/** Frames that are decoded, the oldest given up: about as many as 200 MB hold. */
class Frames {
  constructor() {
    const [width, height] = scene.grid;
    const [wide, high] = scene.picture;
    this.most = clamp(Math.floor(2e8 / (4 * wide * high + 6 * width * height)), 4, 400);
    this.kept = new Map();
  }

  /** What is there already of a frame; decoding begins where there is nothing. */
  ready(index) {
    const found = this.kept.get(index);
    if (!found) this.get(index);
    return found && found.arrays;
  }

  get(index) {
    let entry = this.kept.get(index);
    if (!entry) {
      entry = { arrays: null };
      entry.promise = frameArrays(index).then((arrays) => { entry.arrays = arrays; return arrays; });
      entry.promise.catch(failed);
      this.kept.set(index, entry);
      for (const [old, { arrays }] of this.kept) {
        if (this.kept.size <= this.most) break;
        if (old === index || !arrays) continue;
        arrays.picture.close();
        this.kept.delete(old);
      }
    }
    return entry.promise;
  }
}

function failed(error) {
  by("failure").textContent = `This cannot be shown: ${error.message || error}`;
  by("failure").hidden = false;
  by("stage").removeAttribute("aria-busy");
}

/** Draws the scene into a canvas. */
class Painter {
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: true, alpha: false });
    if (!gl) throw new Error("this browser, or its graphics driver, has no WebGL2");
    this.canvas = canvas;
    this.gl = gl;
    this.program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) {
        throw new Error(gl.getShaderInfoLog(shader));
      }
      gl.attachShader(this.program, shader);
    }
    gl.linkProgram(this.program);
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS)) {
      throw new Error(gl.getProgramInfoLog(this.program));
    }
    gl.useProgram(this.program);
    gl.bindVertexArray(gl.createVertexArray());
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    this.places = {};
    this.units = {};
    ["depths", "offsets", "nodes", "picture", "alpha", "backdrop", "opacity", "invented"]
      .forEach((name, unit) => {
        gl.activeTexture(gl.TEXTURE0 + unit);
        gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
        const smooth = !["depths", "offsets", "nodes"].includes(name);
        const filter = smooth ? gl.LINEAR : gl.NEAREST;
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, filter);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, filter);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
        gl.uniform1i(this.at(name), unit);
        this.units[name] = unit;
      });
    gl.uniform1f(this.at("cut"), scene.cut);
    gl.uniform1f(this.at("nudge"), scene.nudge);
    gl.uniform2fv(this.at("scale"), scene.scale);
    gl.uniform2fv(this.at("margin"), scene.backdrop.margin);
    gl.uniform4fv(this.at("lens"), scene.lens);
    gl.uniform3fv(this.at("pivot"), scene.pivot);
  }

  at(name) {
    if (!(name in this.places)) this.places[name] = this.gl.getUniformLocation(this.program, name);
    return this.places[name];
  }

  array(name, inner, width, height, format, kind, values) {
    const gl = this.gl;
    gl.activeTexture(gl.TEXTURE0 + this.units[name]);
    gl.texImage2D(gl.TEXTURE_2D, 0, inner, width, height, 0, format, kind, values);
  }

  image(name, picture) {
    const gl = this.gl;
    gl.activeTexture(gl.TEXTURE0 + this.units[name]);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, picture);
  }

  async loadPlace() {
    const gl = this.gl;
    const { size, nodes } = scene.backdrop;
    this.image("backdrop", await bitmap(scene.backdrop.picture));
    const planes = await unpacked(scene.backdrop.planes);
    const count = size[0] * size[1];
    const byte = [...size, gl.RED, gl.UNSIGNED_BYTE];
    this.array("opacity", gl.R8, ...byte, planes.subarray(0, count));
    this.array("invented", gl.R8, ...byte, planes.subarray(count, 2 * count));
    const z = new Float32Array((await unpacked(scene.backdrop.z)).buffer);
    this.array("nodes", gl.R32F, ...nodes, gl.RED, gl.FLOAT, z);
  }

  loadFrame(arrays) {
    const gl = this.gl;
    const [width, height] = scene.grid;
    this.image("picture", arrays.picture);
    this.array("depths", gl.R16UI, width, height, gl.RED_INTEGER, gl.UNSIGNED_SHORT, arrays.steps);
    this.array("alpha", gl.R8, width, height, gl.RED, gl.UNSIGNED_BYTE, arrays.alpha);
    this.array("offsets", gl.RG8I, width, height, gl.RG_INTEGER, gl.BYTE, arrays.offsets);
  }

  draw({ yaw, pitch, zoom, depth, marked }, ground) {
    const gl = this.gl;
    const { width, height } = this.canvas;
    const wide = width / height / (scene.lens[0] / scene.lens[1]);
    gl.viewport(0, 0, width, height);
    gl.clearColor(...ground, 1);
    gl.depthMask(true);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const [a, b] = [yaw, pitch].map((degrees) => degrees * Math.PI / 180);
    const [ca, sa, cb, sb] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b)];
    // Columns of up times around, as in camera.py.
    gl.uniformMatrix3fv(this.at("turn"), false,
      [ca, sb * sa, -cb * sa, 0, cb, sb, sa, -sb * ca, cb * ca]);
    gl.uniform2f(this.at("fit"), zoom / Math.max(wide, 1), zoom * Math.min(wide, 1));
    // Never quite flat: the person stays before the place.
    gl.uniform1f(this.at("depthScale"), Math.max(depth, 0.02));
    gl.uniform1f(this.at("marked"), marked ? 1 : 0);
    const { nodes } = scene.backdrop;
    const layer = (number, size, count) => {
      gl.uniform1i(this.at("layer"), number);
      gl.uniform2i(this.at("size"), ...size);
      gl.drawArrays(gl.TRIANGLES, 0, 6 * count);
    };
    const squares = scene.grid[0] * scene.grid[1];
    layer(0, nodes, (nodes[0] - 1) * (nodes[1] - 1));
    layer(1, scene.grid, squares);
    gl.uniform1i(this.at("soft"), 0);
    layer(2, scene.grid, squares);
    gl.depthMask(false);
    gl.uniform1i(this.at("soft"), 1);
    layer(2, scene.grid, squares);
  }
}

const state = { frame: 0, yaw: 0, pitch: 0, zoom: 1, depth: 1, marked: false };
const limits = { yaw: 60, pitch: 40 };
const total = scene.frames.length;
const frames = new Frames();
const canvas = by("canvas");
let painter = null, begun = null, playing = false, swaying = false, dirty = true;
let shown = -1, started = 0, swayed = 0;

function ground() {
  const [red, green, blue] = getComputedStyle(by("stage")).backgroundColor.match(/[\d.]+/g);
  return [red / 255, green / 255, blue / 255];
}

function set(changes) {
  Object.assign(state, changes);
  state.yaw = clamp(state.yaw, -limits.yaw, limits.yaw);
  state.pitch = clamp(state.pitch, -limits.pitch, limits.pitch);
  state.zoom = clamp(state.zoom, 0.4, 6);
  state.depth = clamp(state.depth, 0, 2);
  state.frame = ((Math.round(state.frame) % total) + total) % total;
  for (const name of ["frame", "yaw", "pitch", "depth"]) by(name).value = state[name];
  by("yaw-value").textContent = `${state.yaw.toFixed(1)}°`;
  by("pitch-value").textContent = `${state.pitch.toFixed(1)}°`;
  by("depth-value").textContent = `× ${state.depth.toFixed(2)}`;
  by("time").textContent = `${state.frame + 1} / ${total}`;
  by("frame").setAttribute("aria-valuetext",
    `frame ${state.frame + 1} of ${total}, ${(state.frame / scene.fps).toFixed(2)} seconds`);
  dirty = true;
}

function play(on) {
  playing = on && total > 1;
  started = performance.now() - state.frame / scene.fps * 1000;
  by("play").textContent = playing ? "Pause" : "Play";
}

function sway(on) {
  swaying = on;
  swayed = performance.now();
  by("sway").setAttribute("aria-pressed", on);
}

function step(by) {
  play(false);
  set({ frame: state.frame + by });
}

function paint() {
  painter.draw(state, ground());
  dirty = false;
}

function tick(now) {
  requestAnimationFrame(tick);
  if (swaying) {
    const turn = (now - swayed) / 4000 * 2 * Math.PI;
    set({ yaw: 12 * Math.sin(turn), pitch: 3 * Math.sin(2 * turn) });
  }
  if (playing) {
    const frame = Math.floor((now - started) / 1000 * scene.fps) % total;
    if (frame !== state.frame) set({ frame });
  }
  if (!painter) return;
  if (state.frame !== shown) {
    const arrays = frames.ready(state.frame);
    if (arrays) {
      show(state.frame, arrays);
      for (let ahead = 1; ahead <= Math.min(8, total - 1, frames.most - 2); ahead++) {
        frames.ready((shown + ahead) % total);
      }
    }
  }
  if (dirty) paint();
}

function resized() {
  // As large as the page is wide, and not taller than the window without its controls.
  const shape = scene.picture[0] / scene.picture[1];
  const most = Math.max(240, window.innerHeight - 260);
  const width = Math.min(by("stage").parentElement.clientWidth - 32, most * shape, 868);
  by("stage").style.width = `${width}px`;
  by("stage").style.height = `${width / shape}px`;
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(width / shape * ratio);
  // A canvas of another size is empty, and an empty one is black.
  if (painter) paint();
}

function pointers() {
  const held = new Map();
  const apart = () => {
    const [a, b] = [...held.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    sway(false);
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = held.get(event.pointerId);
    if (!last) return;
    const before = held.size === 2 ? apart() : 0;
    const dx = event.clientX - last.x, dy = event.clientY - last.y;
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (held.size === 2) set({ zoom: state.zoom * apart() / Math.max(before, 1) });
    else if (held.size === 1) {
      const degrees = 60 / Math.max(canvas.clientWidth, 1);
      // The person follows the hand: to the right shows more of what is at their left.
      set({ yaw: state.yaw - dx * degrees, pitch: state.pitch + dy * degrees });
    }
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(end, (event) => held.delete(event.pointerId));
  }
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas && !event.ctrlKey) return; // the page scrolls
    event.preventDefault();
    set({ zoom: state.zoom * Math.exp(-event.deltaY / 500) });
  }, { passive: false });
}

function keys() {
  const turn = (yaw, pitch) => { sway(false); set({ yaw: state.yaw + yaw, pitch: state.pitch + pitch }); };
  const actions = {
    ArrowLeft: () => turn(-2, 0), ArrowRight: () => turn(2, 0),
    ArrowUp: () => turn(0, 2), ArrowDown: () => turn(0, -2),
    "+": () => set({ zoom: state.zoom * 1.1 }), "=": () => set({ zoom: state.zoom * 1.1 }),
    "-": () => set({ zoom: state.zoom / 1.1 }),
    " ": () => play(!playing), ",": () => step(-1), ".": () => step(1), 0: front,
  };
  canvas.addEventListener("keydown", (event) => {
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
}

function front() {
  sway(false);
  set({ yaw: 0, pitch: 0, zoom: 1, depth: 1 });
}

/** Has the canvas show a frame, at once where it is decoded. */
function show(index, arrays) {
  painter.loadFrame(arrays);
  shown = index;
  paint();
}

/** A frame from somewhere, as the address of a PNG; what is not said is as it is. */
async function picture(changes = {}) {
  await ready;
  set(changes);
  const { frame } = state;
  const arrays = await frames.get(frame);
  await begun;
  set({ ...changes, frame }); // where it plays, it has gone on
  show(frame, arrays);
  return canvas.toDataURL("image/png");
}

function controls() {
  by("name").textContent = scene.name;
  by("synthetic").hidden = !scene.generated;
  by("unit").textContent = scene.words;
  by("theme").append(themeButton());
  by("told").append(...told.map(([name, value]) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value))));
  by("frame").max = total - 1;
  by("play").disabled = total < 2;
  by("play").addEventListener("click", () => play(!playing));
  by("sway").addEventListener("click", () => sway(!swaying));
  by("reset").addEventListener("click", front);
  by("frame").addEventListener("input", () => { play(false); set({ frame: +by("frame").value }); });
  for (const name of ["yaw", "pitch", "depth"]) {
    by(name).addEventListener("input", () => {
      if (name !== "depth") sway(false);
      set({ [name]: +by(name).value });
    });
  }
  by("invented").addEventListener("change", () => set({ marked: by("invented").checked }));
  by("save").addEventListener("click", async () => {
    const link = el("a", { href: await picture(), download: `${scene.file}.png` });
    link.click();
  });
  pointers();
  keys();
  // Colours of the ground change with the theme.
  new MutationObserver(() => { dirty = true; }).observe(document.documentElement,
    { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { dirty = true; });
  window.addEventListener("resize", resized);
}

async function start() {
  controls();
  resized();
  set({});
  canvas.addEventListener("webglcontextlost", lost);
  play(!still());
  begun = begin();
  await begun;
  play(playing); // from now on, unless somebody has paused it meanwhile
  requestAnimationFrame(tick);
}

/** Draws the frame at hand from nothing. Until it is there nothing is shown: it would be black. */
async function begin() {
  const made = new Painter(canvas);
  await made.loadPlace();
  const { frame } = state;
  const arrays = await frames.get(frame);
  painter = made;
  show(frame, arrays);
  by("stage").removeAttribute("aria-busy");
}

/** What the graphics driver gives up is drawn anew when it is back. */
function lost(event) {
  event.preventDefault();
  painter = null;
  by("stage").setAttribute("aria-busy", "true");
  begun = new Promise((resolve) => {
    canvas.addEventListener("webglcontextrestored", () => resolve(begin()), { once: true });
  });
  begun.catch(failed);
}

const ready = start();
ready.catch(failed);
// For pages that hold this one, and for whoever wants pictures of it.
globalThis.relief = { ready, set, play, picture, state };
