// Shows the packed meshes of a page. Drag or arrow keys turn, wheel or two fingers zoom, right drag or shift moves,
// a double click goes back. A finger scrolls the page until it has tapped the mesh, and the wheel until it is clicked;
// a touch elsewhere lets go. All meshes of a page share one point of view, so that they can be compared.
"use strict";
(() => {
  const VERTEX = `#version 300 es
    in vec3 position, normal, color;
    in float views;
    uniform mat3 rotation;
    uniform vec3 center;
    uniform vec2 pan;
    uniform float radius, zoom, aspect;
    out vec3 tint, seen, own;
    out float count;
    void main() {
      vec3 at = rotation * ((position - center) / radius);
      at.xy += pan;
      at.z -= 3.2;
      float near = 1.0, far = 6.0, focal = 3.0 * zoom * min(1.0, aspect);
      gl_Position = vec4(at.x * focal / aspect, at.y * focal,
        (at.z * (far + near) + 2.0 * far * near) / (near - far), -at.z);
      tint = color;
      count = 255.0 * views;
      own = normal;
      seen = rotation * normal;
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec3 tint, seen, own;
    in float count;
    uniform int mode;
    out vec4 result;
    void main() {
      float facing = abs(normalize(seen).z);
      vec3 shown = tint;
      if (mode == 1) shown = vec3(0.82) * (0.25 + 0.75 * facing);
      if (mode == 2) shown = 0.5 + 0.5 * normalize(own);
      if (mode == 3) {  // red: no photograph; yellow to blue: one to twenty and more
        float many = clamp(log2(max(count, 1.0)) / 4.3, 0.0, 1.0);
        shown = count < 0.5 ? vec3(0.85, 0.15, 0.1) : mix(vec3(0.98, 0.85, 0.3), vec3(0.15, 0.35, 0.75), many);
        shown *= 0.35 + 0.65 * facing;
      }
      if (!gl_FrontFacing) shown *= vec3(0.55, 0.45, 0.45);
      result = vec4(shown, 1.0);
    }`;
  const DARK = matchMedia("(prefers-color-scheme: dark)");
  const MODES = ["colour", "shape", "normals", "views"];
  const UPWARD = { z: [[1, 0, 0], [0, 0, 1], [0, -1, 0]], y: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "-y": [[1, 0, 0], [0, -1, 0], [0, 0, -1]], "-z": [[1, 0, 0], [0, 0, -1], [0, 1, 0]] };
  const view = { rotation: null, zoom: 1.2, pan: [0, 0], mode: 0, up: "z", data: null };
  const viewers = [];
  let waiting = false;
  // One context draws all meshes, and each canvas gets a copy: browsers keep 16 at most, and lose the oldest.
  const gl = document.createElement("canvas").getContext("webgl2", { antialias: true });
  const program = gl && build();

  const multiply = (a, b) =>
    a.map((row) => [0, 1, 2].map((k) => row[0] * b[0][k] + row[1] * b[1][k] + row[2] * b[2][k]));
  const aboutX = (t) => [[1, 0, 0], [0, Math.cos(t), -Math.sin(t)], [0, Math.sin(t), Math.cos(t)]];
  const aboutY = (t) => [[Math.cos(t), 0, Math.sin(t)], [0, 1, 0], [-Math.sin(t), 0, Math.cos(t)]];

  // The rotation that takes a unit direction to y, without turning more than it must.
  function upright([x, y, z]) {
    if (y < -0.999999) return [[1, 0, 0], [0, -1, 0], [0, 0, -1]];
    const k = 1 / (1 + y);
    return [[1 - x * x * k, -x, -x * z * k], [x, y, z], [-x * z * k, -z, 1 - z * z * k]];
  }

  function reset() {
    const known = view.up === "data" ? upright(view.data) : UPWARD[view.up];
    view.rotation = multiply(aboutX(0.35), multiply(aboutY(-0.6), known));
    view.zoom = 1.2;
    view.pan = [0, 0];
    redraw();
  }

  function turn(right, down) {
    view.rotation = multiply(aboutX(down), multiply(aboutY(right), view.rotation));
    redraw();
  }

  function enlarge(factor) {
    view.zoom = Math.min(40, Math.max(0.2, view.zoom * factor));
    redraw();
  }

  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      viewers.forEach((draw) => draw());
    });
  }

  function bytes(text) {
    const decoded = atob(text), out = new Uint8Array(decoded.length);
    for (let k = 0; k < decoded.length; k++) out[k] = decoded.charCodeAt(k);
    return out;
  }

  function build() {
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    return program;
  }

  function upload(mesh) {
    const attribute = (name, text, kind, size) => {
      const place = gl.getAttribLocation(program, name);
      if (place < 0) return;
      if (text === null) {
        gl.vertexAttrib3f(place, 0.8, 0.8, 0.8);
        return;
      }
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, bytes(text), gl.STATIC_DRAW);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, size, kind, true, 0, 0);
    };
    attribute("position", mesh.positions, gl.UNSIGNED_SHORT, 3);
    attribute("normal", mesh.normals, gl.BYTE, 3);
    attribute("color", mesh.colors, gl.UNSIGNED_BYTE, 3);
    attribute("views", mesh.views, gl.UNSIGNED_BYTE, 1);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, bytes(mesh.indices), gl.STATIC_DRAW);
  }

  function resize(canvas, width, height) {
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  }

  function prepare(canvas, mesh) {
    const arrays = gl.createVertexArray(), shown = canvas.getContext("2d", { alpha: false });
    gl.bindVertexArray(arrays);
    upload(mesh);
    const place = (name) => gl.getUniformLocation(program, name);
    return () => {
      const sharpness = Math.min(2, window.devicePixelRatio || 1);
      const width = Math.round(canvas.clientWidth * sharpness), height = Math.round(canvas.clientHeight * sharpness);
      if (!width || !height) return;
      for (const each of [canvas, gl.canvas]) resize(each, width, height);
      gl.useProgram(program);
      gl.enable(gl.DEPTH_TEST);
      gl.bindVertexArray(arrays);
      gl.uniform3f(place("center"), ...mesh.extent.map((length) => 0.5 * length));
      gl.uniform1f(place("radius"), 0.5 * Math.hypot(...mesh.extent));
      gl.viewport(0, 0, width, height);
      gl.clearColor(...(DARK.matches ? [0.13, 0.14, 0.15, 1] : [0.94, 0.95, 0.96, 1]));
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      const columns = [0, 1, 2].flatMap((k) => view.rotation.map((row) => row[k]));
      gl.uniformMatrix3fv(place("rotation"), false, columns);
      gl.uniform2f(place("pan"), ...view.pan);
      gl.uniform1f(place("zoom"), view.zoom);
      gl.uniform1f(place("aspect"), width / height);
      gl.uniform1i(place("mode"), view.mode === 0 && mesh.colors === null ? 1 : view.mode);
      gl.drawElements(gl.TRIANGLES, 3 * mesh.faces, mesh.wide ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT, 0);
      shown.drawImage(gl.canvas, 0, 0);
    };
  }

  function listen(figure, canvas) {
    const held = new Map();
    let tapped = 0;  // when a finger went down that may be a tap
    const give = (own) => figure.classList.toggle("held", own);
    document.addEventListener("pointerdown", (event) => { if (!figure.contains(event.target)) give(false); });
    canvas.addEventListener("click", () => { if (performance.now() - tapped < 500) give(true); });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch" && !figure.classList.contains("held")) {  // it scrolls the page
        tapped = performance.now();
        return;
      }
      canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, [event.clientX, event.clientY]);
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (e) => held.delete(e.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      const before = held.get(event.pointerId), now = [event.clientX, event.clientY];
      if (!before) return;
      const [x, y] = [now[0] - before[0], now[1] - before[1]];
      if (held.size === 2) {
        const other = [...held].find(([id]) => id !== event.pointerId)[1];
        const apart = (point) => Math.max(1, Math.hypot(point[0] - other[0], point[1] - other[1]));
        enlarge(apart(now) / apart(before));
      } else if (event.shiftKey || event.buttons === 2) {
        const unit = 2.1 / (view.zoom * Math.min(canvas.clientWidth, canvas.clientHeight));
        view.pan = [view.pan[0] + x * unit, view.pan[1] - y * unit];
        redraw();
      } else {
        turn(0.008 * x, 0.008 * y);
      }
      held.set(event.pointerId, now);
    });
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return;  // it scrolls the page
      event.preventDefault();
      enlarge(Math.exp(-0.0012 * event.deltaY));
    }, { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", reset);
    canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
      if (steps[event.key]) turn(...steps[event.key]);
      else if (event.key === "+" || event.key === "-") enlarge(event.key === "+" ? 1.15 : 1 / 1.15);
      else return;
      event.preventDefault();
    });
  }

  function start(figure) {
    const canvas = figure.querySelector("canvas");
    if (!gl) {
      figure.querySelector(".missing").hidden = false;
      canvas.hidden = true;
      return;
    }
    const mesh = JSON.parse(figure.querySelector("script").textContent);
    if (mesh.up && !view.data) [view.data, view.up] = [mesh.up, "data"];
    viewers.push(prepare(canvas, mesh));
    listen(figure, canvas);
    figure.querySelector(".modes").addEventListener("click", (event) => {
      const { mode, up } = event.target.dataset;
      if (mode !== undefined) {
        view.mode = MODES.indexOf(mode);
        name();
        redraw();
      } else if (up !== undefined) {
        const names = [...(view.data ? ["data"] : []), ...Object.keys(UPWARD)];
        view.up = names[(names.indexOf(view.up) + 1) % names.length];
        name();
        reset();
      }
    });
    new ResizeObserver(redraw).observe(canvas);
  }

  function name() {
    document.querySelectorAll("[data-up]").forEach((button) => { button.textContent = `up: ${view.up}`; });
    document.querySelectorAll("[data-mode]").forEach((button) => {
      button.setAttribute("aria-pressed", MODES[view.mode] === button.dataset.mode);
    });
  }

  document.querySelectorAll("figure.mesh").forEach(start);
  DARK.addEventListener("change", redraw);
  name();
  reset();
})();
