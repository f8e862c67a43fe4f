(function () {
"use strict";

const LEVELS = 255;  // a score is one byte
const COLOURS = 8;  // --head-0 to --head-7; further heads are dashed
const MIDDLE = 260;  // width of the space between the columns
const CELL = 20;  // size of a cell of the heat map
const SVG = "http://www.w3.org/2000/svg";

function bytes(text) {
  const characters = atob(text);
  return Uint8Array.from(characters, (one) => one.charCodeAt(0));
}

function htmlElement(name, attributes, text) {
  return withAttributes(document.createElement(name), attributes, text);
}

function svgElement(name, attributes, text) {
  return withAttributes(document.createElementNS(SVG, name), attributes, text);
}

function withAttributes(node, attributes, text) {
  for (const [key, value] of Object.entries(attributes || {}))
    if (key === "style") node.style.cssText = value;  // the attribute may be forbidden by the page's policy
    else node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

/** Scores of a figure. Each kind has `weight(layer, head, query, key)`, from 0 to LEVELS. */
function Scores(data) {
  const S = data.source.length, T = data.written.length, H = data.heads;
  const parts = { encoder: bytes(data.encoder), decoder: bytes(data.decoder), cross: bytes(data.cross) };
  const lower = parts.decoder.length !== data.layers.decoder * H * T * T;  // a causal decoder, or T is 1

  function encoder(layer, head, query, key) {
    return layer < data.layers.encoder ? parts.encoder[((layer * H + head) * S + query) * S + key] : 0;
  }
  function cross(layer, head, query, key) {
    return layer < data.layers.cross ? parts.cross[((layer * H + head) * T + query) * S + key] : 0;
  }
  function decoder(layer, head, query, key) {
    if (layer >= data.layers.decoder) return 0;
    if (!lower) return parts.decoder[((layer * H + head) * T + query) * T + key];
    if (key > query) return 0;
    return parts.decoder[(layer * H + head) * T * (T + 1) / 2 + query * (query + 1) / 2 + key];
  }
  this.kinds = {
    inp_inp: { left: data.source, right: data.source, layers: data.layers.encoder, weight: encoder },
    inp_out: { left: data.source, right: data.written, layers: data.layers.cross, weight: cross },
    out_out: { left: data.read, right: data.written, layers: data.layers.decoder, weight: decoder },
    all: {
      left: data.source.concat(data.read),
      right: data.source.concat(data.written),
      layers: Math.max(data.layers.encoder, data.layers.cross, data.layers.decoder),
      weight: function (layer, head, query, key) {
        if (query < S) return key < S ? encoder(layer, head, query, key) : 0;
        return key < S ? cross(layer, head, query - S, key) : decoder(layer, head, query - S, key - S);
      },
    },
  };
}

/** Draws a figure, whose controls are there, and redraws it as they are used. */
function View(figure, data) {
  const scores = new Scores(data);
  const control = (name) => figure.querySelector("[name='" + name + "']");
  const stage = figure.querySelector(".stage"), summary = figure.querySelector(".summary");
  const heads = [];
  let lines = null, tokens = { left: [], right: [] }, focused = null, hovered = null;

  const kind = () => scores.kinds[control("kind").value];
  const layer = () => Number(control("layer").value);
  const enabledHeads = () => heads.map((box, head) => head).filter((head) => heads[head].checked);
  const weight = (head, query, key) => kind().weight(layer(), head, query, key);

  function mean(query, key) {
    const enabled = enabledHeads();
    return enabled.reduce((sum, head) => sum + weight(head, query, key), 0) / (LEVELS * enabled.length || 1);
  }

  function fillLayers(layer) {
    const select = control("layer"), count = kind().layers;
    select.replaceChildren();
    for (let i = 0; i < count; i++) select.append(htmlElement("option", { value: i }, String(i)));
    select.value = String(Math.min(layer, count - 1));
  }

  function makeHeads() {
    for (let head = 0; head < data.heads; head++) {
      const label = htmlElement("label", { class: "head", style: "--colour: var(--head-" + (head % COLOURS) + ")" });
      const box = htmlElement("input", { type: "checkbox", value: head });
      box.checked = true;
      box.addEventListener("change", draw);
      label.append(box, htmlElement("span", head < COLOURS ? {} : { class: "dashed" }, String(head)));
      figure.querySelector(".heads").append(label);
      heads.push(box);
    }
  }

  /** The highlighted token: the one under the pointer, else the one that has the focus. */
  const selection = () => hovered || focused;

  function token(side, index, text) {
    const node = htmlElement("button", { type: "button", dir: "auto", class: "token", title: text,
                                         tabindex: index ? -1 : 0, "data-side": side, "data-index": index }, text);
    return selectable(node, side, index);
  }

  /** Makes a token selectable by pointer and by keyboard. */
  function selectable(node, side, index) {
    const here = { side: side, index: index };
    node.addEventListener("mouseenter", () => {
      hovered = here;
      if (!stage.contains(document.activeElement)) focused = null;  // drops the initial selection
      highlight();
    });
    node.addEventListener("mouseleave", () => { hovered = null; highlight(); });
    node.addEventListener("focus", () => { focused = here; highlight(); });
    node.addEventListener("blur", () => { focused = null; highlight(); });
    node.addEventListener("keydown", (event) => move(event, side, index));
    return node;
  }

  function move(event, side, index) {
    const last = tokens[side].length - 1, other = side === "left" ? "right" : "left";
    const heat = control("view").value === "heat", flat = heat && side === "left";  // the labels above the map
    const [back, forth] = flat ? ["ArrowLeft", "ArrowRight"] : ["ArrowUp", "ArrowDown"];
    const targets = { [forth]: Math.min(index + 1, last), [back]: Math.max(index - 1, 0), Home: 0, End: last };
    if (event.key === "Escape") { event.target.blur(); return; }
    const across = event.key === (flat ? "ArrowDown" : side === "left" || heat ? "ArrowRight" : "ArrowLeft");
    const next = across ? tokens[other][Math.min(index, tokens[other].length - 1)] : tokens[side][targets[event.key]];
    if (!next) return;
    event.preventDefault();
    for (const one of tokens[next.dataset.side]) one.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  function drawColumns() {
    const grid = htmlElement("div", { class: "columns", style: "--row: " + data.row + "px" });
    const rows = Math.max(kind().left.length, kind().right.length);
    const columns = {};
    for (const side of ["left", "right"]) {
      columns[side] = htmlElement("div", { class: "column " + side, role: "group",
                                           "aria-label": side === "left" ? "attended to" : "attending" });
      tokens[side] = kind()[side].map((text, index) => token(side, index, text));
      columns[side].append(...tokens[side]);
    }
    lines = svgElement("svg", { class: "lines", height: rows * data.row, "aria-hidden": "true",
                                preserveAspectRatio: "none", viewBox: "0 0 " + MIDDLE + " " + rows * data.row });
    grid.append(columns.left, lines, columns.right);
    stage.replaceChildren(grid);
  }

  function line(head, query, key) {
    const node = svgElement("line", {
      x1: 2, y1: (key + 0.5) * data.row, x2: MIDDLE - 2, y2: (query + 0.5) * data.row,
      stroke: "var(--head-" + (head % COLOURS) + ")", "stroke-opacity": weight(head, query, key) / LEVELS,
      "data-head": head, "data-query": query, "data-key": key,
    });
    if (head >= COLOURS) node.setAttribute("stroke-dasharray", "5 3");
    return node;
  }

  const everyQuery = () => [...kind().right.keys()], everyKey = () => [...kind().left.keys()];

  function group(name, queries, keys) {
    const node = svgElement("g", { class: name });
    for (const head of enabledHeads())
      for (const query of queries)
        for (const key of keys) if (weight(head, query, key)) node.append(line(head, query, key));
    return node;
  }

  function drawLines() {
    lines.replaceChildren(group("all", everyQuery(), everyKey()));
    highlight();
  }

  function highlight() {
    const one = selection();
    if (control("view").value === "heat") { summarize(one); return; }
    const old = lines.querySelector("g.one");
    if (old) old.remove();
    lines.classList.toggle("single", one !== null);
    for (const side of ["left", "right"])
      tokens[side].forEach((node, index) => {
        const self = one && one.side === side && one.index === index;
        const other = one && one.side !== side;
        const share = other ? (side === "left" ? mean(one.index, index) : mean(index, one.index)) : 0;
        node.classList.toggle("self", Boolean(self));
        node.style.setProperty("--share", share.toFixed(3));
      });
    if (one) {
      const right = one.side === "right";
      lines.append(group("one", right ? [one.index] : everyQuery(), right ? everyKey() : [one.index]));
    }
    summarize(one);
  }

  function summarize(one) {
    summary.replaceChildren();
    if (!one || !enabledHeads().length) return;
    const right = one.side === "right", texts = right ? kind().left : kind().right;
    const shares = texts.map((text, i) => [right ? mean(one.index, i) : mean(i, one.index), text]);
    shares.sort((a, b) => b[0] - a[0]);
    summary.append(htmlElement("bdi", {}, kind()[one.side][one.index]), right ? " attends to " : " is attended to by ");
    shares.slice(0, 4).filter((pair) => pair[0] > 0).forEach(([share, text], place) => {
      if (place) summary.append(", ");
      summary.append(htmlElement("bdi", {}, text), " " + share.toFixed(2));
    });
    noteMean();
  }

  function noteMean() {
    if (enabledHeads().length > 1) summary.append(" (mean of the heads shown)");
  }

  function drawHeat() {
    const texts = kind(), enabled = enabledHeads(), margin = 110;
    const width = 2 * margin + texts.left.length * CELL, height = margin + texts.right.length * CELL;
    const map = svgElement("svg", { class: "heat", width: width, height: height, role: "group",
                                    viewBox: "0 0 " + width + " " + height,
                                    "aria-label": "Scores, one row per attending token" });
    const shorten = (text) => (text.length > 14 ? text.slice(0, 13) + "…" : text);
    const colour = enabled.length === 1 ? "var(--head-" + (enabled[0] % COLOURS) + ")" : "var(--accent)";
    const label = (side, index, text, place) =>
      selectable(svgElement("text", { ...place, class: "label", tabindex: index ? -1 : 0, "data-side": side },
                            shorten(text)), side, index);
    tokens.left = texts.left.map((text, key) => {
      const x = margin + (key + 0.6) * CELL, y = margin - 8;
      return label("left", key, text, { x: x, y: y, transform: "rotate(-55 " + x + " " + y + ")" });
    });
    tokens.right = texts.right.map((text, query) =>
      label("right", query, text, { x: margin - 8, y: margin + (query + 0.7) * CELL, "text-anchor": "end" }));
    map.append(...tokens.left, ...tokens.right);
    texts.right.forEach((text, query) => {
      const y = margin + query * CELL;
      for (let key = 0; key < texts.left.length; key++) {
        const share = mean(query, key);
        if (share > 0)
          map.append(svgElement("rect", { x: margin + key * CELL, y: y, width: CELL - 1, height: CELL - 1, fill: colour,
                                          "fill-opacity": share, "data-query": query, "data-key": key }));
      }
    });
    map.append(svgElement("rect", { class: "frame", x: margin - 0.5, y: margin - 0.5,
                                    width: texts.left.length * CELL, height: texts.right.length * CELL }));
    map.addEventListener("mouseover", (event) => summarizeCell(event.target.dataset));
    stage.replaceChildren(map);
    const maxWidth = margin - 10;
    for (const one of [...tokens.left, ...tokens.right])
      if (one.getComputedTextLength() > maxWidth)
        withAttributes(one, { textLength: maxWidth, lengthAdjust: "spacingAndGlyphs" });
    summary.replaceChildren();
  }

  function summarizeCell(place) {
    if (place.query === undefined) return;
    summary.replaceChildren(htmlElement("bdi", {}, kind().right[place.query]), " attends to ",
                            htmlElement("bdi", {}, kind().left[place.key]),
                            " " + mean(Number(place.query), Number(place.key)).toFixed(2));
    noteMean();
  }

  function draw() {
    if (control("view").value === "heat") { drawHeat(); return; }
    if (!stage.querySelector(".columns")) drawColumns();
    drawLines();
  }

  function redraw() {
    focused = hovered = null;
    stage.replaceChildren();
    draw();
  }

  makeHeads();
  for (const option of [...control("kind").options]) if (!data.kinds.includes(option.value)) option.remove();
  control("kind").value = data.start.kind;
  fillLayers(data.start.layer);
  control("kind").addEventListener("change", () => { fillLayers(layer()); redraw(); });
  control("layer").addEventListener("change", draw);
  control("view").addEventListener("change", redraw);
  control("every").addEventListener("click", () => {
    const all = heads.every((box) => box.checked);
    for (const box of heads) box.checked = !all;
    draw();
  });
  draw();
  if (data.start.token !== null) { focused = { side: "right", index: data.start.token }; highlight(); }
}

for (const figure of document.querySelectorAll("[data-attention]"))
  View(figure, JSON.parse(figure.querySelector("script[type='application/json']").textContent));
window.illustrate = { View: View, htmlElement: htmlElement, svgElement: svgElement };  // for pages that fetch data
})();
