"use strict";

const PAUSE = 900;  // milliseconds between two steps that are played
const KEYS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };

/** Number of a probability, with enough digits to show whether it is 0. */
function share(probability) {
  if (probability >= 0.005) return probability.toFixed(2);
  return probability >= 0.00005 ? String(Number(probability.toFixed(4))) : "<0.0001";
}

/** A list of tokens, each isolated from the direction of its neighbours. */
function tokenList(tokens) {
  return tokens.flatMap((token) => [illustrate.htmlElement("bdi", {}, token), " "]);
}

/** The tree of a search as an SVG element. */
function drawTree(tree, fates) {
  const { svgElement } = illustrate;
  const svg = svgElement("svg", { class: "tree", width: tree.width, height: tree.height, role: "img",
                                  viewBox: "0 0 " + tree.width + " " + tree.height,
                                  "aria-label": "Tree of all candidates of the search" });
  const classes = (one) => one.fate + (one.best ? " best" : "");
  for (const edge of tree.edges)
    svg.append(svgElement("line", { class: classes(edge), "data-step": edge.step,
                                    x1: edge.from[0], y1: edge.from[1], x2: edge.to[0], y2: edge.to[1] }));
  svg.append(svgElement("circle", { class: "kept", cx: tree.root[0], cy: tree.root[1], r: 5 }),
             svgElement("text", { x: tree.root[0], y: tree.root[1] - 10 }, "start"));
  for (const node of tree.nodes) svg.append(drawNode(node, classes(node), fates));
  return svg;
}

function drawNode(node, classes, fates) {
  const { svgElement } = illustrate;
  const group = svgElement("g", { class: "node " + classes, "data-step": node.step });
  const label = svgElement("text", { x: node.x, y: node.y - 10 });
  label.append(svgElement("tspan", { class: "token" }, node.short), " " + share(node.probability));
  group.append(svgElement("title", {}, node.token + ": " + fates[node.fate]));
  group.append(node.fate === "ended"
    ? svgElement("rect", { x: node.x - 5, y: node.y - 5, width: 10, height: 10 })
    : svgElement("circle", { cx: node.x, cy: node.y, r: 5 }));
  group.append(label);
  if (node.rank)
    group.append(svgElement("text", { class: "rank", x: node.x + 10, y: node.y + 5 }, "No. " + node.rank));
  return group;
}

/** Draws the search in a section, whose controls are there, and replays it. */
function SearchReplay(section, data) {
  const { htmlElement } = illustrate;
  const find = (selector) => section.querySelector(selector);
  const control = (name) => find("[name='" + name + "']");
  const scroll = find(".tree-scroll"), slider = control("step"), play = control("play");
  const svg = drawTree(data.tree, data.fates), last = data.steps.length;
  let timer = null;

  const place = () => Number(slider.value);

  function caption(step) {
    if (step === 0) return "Start: the translation is empty.";
    const found = data.tree.nodes.filter((node) => node.step === step);
    const counts = { kept: 0, ended: 0, dropped: 0, left: 0 };
    for (const node of found) counts[node.fate] += 1;
    const words = { kept: "kept", ended: "finished", dropped: "dropped", left: "still live, and the search stops" };
    const parts = Object.keys(counts).filter((fate) => counts[fate]).map((fate) => counts[fate] + " " + words[fate]);
    return "Step " + step + " of " + last + ": " + parts.join(", ") + ".";
  }

  function beamRow(beam) {
    const row = htmlElement("li"), sofar = htmlElement("p", { class: "sofar" });
    const words = htmlElement("p", { class: "words" });
    sofar.append(...(beam.cut ? ["… "] : []), ...tokenList(beam.tokens.length ? beam.tokens : ["start"]),
                 htmlElement("span", { class: "probability" }, share(beam.probability)));
    for (const [token, probability] of beam.words) {
      const word = htmlElement("span", { class: "word", style: "--share: " + probability.toFixed(3) });
      word.append(htmlElement("bdi", {}, token), " " + share(probability));
      words.append(word, " ");
    }
    row.append(sofar, words);
    return row;
  }

  function show(step, follow) {
    slider.value = step;
    slider.setAttribute("aria-valuetext", "step " + step + " of " + last);
    for (const one of svg.querySelectorAll("[data-step]")) {
      one.classList.toggle("later", Number(one.dataset.step) > step);
      one.classList.toggle("now", Number(one.dataset.step) === step);
    }
    svg.classList.toggle("done", step === last);
    find(".caption").textContent = caption(step);
    find(".beams-title").textContent = "Each beam before step " + Math.max(step, 1) + ", and what may follow";
    find(".beams").replaceChildren(...data.steps[Math.max(step, 1) - 1].map(beamRow));
    control("previous").setAttribute("aria-disabled", step === 0);  // if disabled, it would lose the focus
    control("next").setAttribute("aria-disabled", step === last);
    if (follow) scroll.scrollLeft = (step + 0.5) * data.tree.width / (last + 1) - 0.75 * scroll.clientWidth;
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }

  function go(step) {
    stop();
    show(Math.min(Math.max(step, 0), last), true);
  }

  function start() {
    show(place() === last ? 0 : place() + 1, true);
    play.textContent = "Pause";
    timer = setInterval(() => {
      show(place() + 1, true);
      if (place() === last) stop();
    }, PAUSE);
  }

  function onKey(event) {
    if (!(event.key in KEYS) || event.target === slider || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    go(place() + KEYS[event.key]);
  }

  slider.max = last;
  scroll.replaceChildren(svg);
  play.onclick = () => (timer === null ? start() : stop());
  control("previous").onclick = () => go(place() - 1);
  control("next").onclick = () => go(place() + 1);
  slider.oninput = () => go(place());
  section.onkeydown = onKey;
  show(last, false);
  this.stop = stop;
}
