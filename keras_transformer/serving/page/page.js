(function () {
"use strict";

const OWN_WORDS = {
  408: "The request took too long to arrive. Try again.",
  429: "Too many texts wait already. Try again in a few seconds.",
  503: "The service is ending or overloaded. Try again in a few seconds.",
  504: "The answer took too long and was given up. Try a shorter sentence, or try again later.",
};
const UNREACHABLE = "The service cannot be reached. Is it still running?";
const NO_HISTORY = "The engine of this run keeps no history of its search and no attention: there are translations only. "
  + "The engine keras has both.";

const { htmlElement, View } = window.illustrate;
const byId = (id) => document.getElementById(id);
const form = byId("ask"), text = byId("text"), token = byId("token");
let about = null, answers = [], pending = new AbortController();

/** A failure that is shown as it is. */
class Failure extends Error {}

async function request(path, body, signal) {
  const headers = { "Content-Type": "application/json" }, given = token.value.trim();
  if (/[^\x21-\x7e]/.test(given)) throw new Failure("The token has characters that no token has.");
  if (given) headers.Authorization = "Bearer " + given;
  const options = { headers: headers, signal: signal, credentials: "omit", cache: "no-store", redirect: "error" };
  if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  let answer, found;
  try {
    answer = await fetch(path, options);
    found = await answer.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(UNREACHABLE);
  }
  if (answer.status === 401) askForToken(given);
  if (!answer.ok) throw new Failure(sentence(answer.status, found));
  return JSON.parse(found);
}

function sentence(status, found) {
  if (status === 401)
    return token.value ? "The service does not know this token." : "The service wants a token: type it above.";
  if (status in OWN_WORDS) return OWN_WORDS[status];
  try {
    return JSON.parse(found).error.message;
  } catch (error) {  // of a proxy in front of the service
    return "The service failed, with status " + status + ".";
  }
}

function askForToken() {
  byId("token-row").hidden = false;
  token.focus();
}

function languageName(code) {
  try {
    return new Intl.DisplayNames(["en"], { type: "language", fallback: "none" }).of(code);
  } catch (error) {
    return undefined;  // no language has such a code
  }
}

/** Sets the language of an element, for its voice and its glyphs. */
function speak(node, code) {
  if (code && languageName(code)) node.lang = code;
}

function describe() {
  const pairs = new Set(about.runs.map((run) => [run.source_language, run.target_language].map((code) =>
    (code && languageName(code)) || "").join(" to ")));
  const [pair] = pairs;
  if (pairs.size === 1 && !pair.startsWith(" ") && !pair.endsWith(" ")) byId("title").textContent = pair;
  document.title = byId("title").textContent;
  const names = about.runs.map((run) => run.name).join(" and ");
  const search = about.search.beam_size === 1 ? "greedy search" : "beam search with " + about.search.beam_size + " beams";
  byId("about").textContent = names + ", " + search + ", engine " + about.engine;
}

async function load() {
  if (about) return;
  about = await request("about");
  describe();
  speak(text, about.runs[0].source_language);
  answers = about.runs.map((run) => new Answer(run));
  byId("answers").replaceChildren(...answers.map((answer) => answer.node));
  document.body.classList.toggle("several", answers.length > 1);
}

/** The answers of one run. */
class Answer {
  constructor(run) {
    this.run = run;
    this.node = byId("answer").content.cloneNode(true).firstElementChild;
    this.find = (selector) => this.node.querySelector(selector);
    this.find(".run").textContent = run.name;
    this.find(".run").hidden = about.runs.length === 1;
    for (const node of this.node.querySelectorAll(".translation, .best tbody")) speak(node, run.target_language);
  }

  clear() {
    if (this.replay) this.replay.stop();
    this.replay = null;
    this.find(".translation").replaceChildren();
    this.find(".reason").replaceChildren();
    for (const section of this.node.querySelectorAll("section")) section.hidden = true;
  }

  async ask(sentence, signal) {
    const options = { texts: [sentence], top_beams: about.search.top_beams, scores: true, run: this.run.name };
    const found = await request("translate", options, signal);
    const [translation] = found.translations;
    this.find(".translation").replaceChildren(htmlElement("bdi", {}, translation.text));
    if (!translation.text.trim()) this.note("The translation is empty.");
    if (translation.parts === 1) this.showBest(translation.hypotheses);
    const reason = this.unexplained(translation);
    if (reason) this.note(reason);
    else this.explain(await request("explain", { text: sentence, run: this.run.name }, signal));
  }

  note(words) {
    this.find(".reason").textContent = words;
  }

  /** Why there is neither a tree nor attention, or nothing. */
  unexplained(translation) {
    const longest = this.run.explained_tokens, tokens = translation.source_tokens.length - 1;
    if (!longest) return NO_HISTORY;
    if (translation.parts > 1)
      return "The text was translated in " + translation.parts + " pieces. The search and the attention are shown of one "
        + "sentence of at most " + longest + " tokens.";
    if (translation.parts < 1 || tokens < 1) return "There is nothing to translate.";
    if (tokens > longest)
      return "The search and the attention are shown of sentences of at most " + longest + " tokens. This one has "
        + tokens + ".";
    return "";
  }

  explain(found) {
    this.showBest(found.hypotheses);
    this.find(".replay").hidden = false;
    this.replay = new SearchReplay(this.find(".replay"), found);
    if (!found.attention) {
      this.note("This model has no attention scores that can be shown, so there is no picture of them.");
      return;
    }
    const figure = byId("attention").content.cloneNode(true).firstElementChild;
    this.find("section.heads").hidden = false;
    this.find(".figure").replaceChildren(figure);
    View(figure, { ...found.attention, start: { ...found.attention.start, token: null }, row: 24 });
  }

  showBest(hypotheses) {
    const rows = hypotheses.map((one, index) => {
      const row = htmlElement("tr"), words = htmlElement("td");
      words.append(htmlElement("bdi", {}, one.text), one.finished ? "" : " (cut off)");
      row.append(htmlElement("th", { scope: "row" }, String(index + 1)), words,
                 ...[one.log_prob, one.score].map((value) => htmlElement("td", { class: "number" }, number(value))));
      return row;
    });
    this.find(".best tbody").replaceChildren(...rows);
    this.find(".best").hidden = !rows.length;
  }
}

function number(value) {
  return typeof value === "number" ? value.toFixed(3).replace("-", "−") : "–";
}

function tell(words) {
  byId("error").textContent = words;
}

/** Asks all runs; failures of several that say the same are shown once. */
async function translate(sentence, signal) {
  await load();
  for (const answer of answers) answer.clear();
  const results = await Promise.allSettled(answers.map((answer) => answer.ask(sentence, signal)));
  const failures = results.flatMap((result, index) => {
    if (result.status === "fulfilled" || result.reason.name === "AbortError") return [];
    if (!(result.reason instanceof Failure)) throw result.reason;
    return [[answers[index].run.name, result.reason.message]];
  });
  const messages = new Set(failures.map(([, message]) => message));
  const all = failures.length === answers.length && messages.size === 1;
  if (!signal.aborted) tell(failures.map(([name, message]) => (all ? message : name + ": " + message))
    .filter((message, index, list) => list.indexOf(message) === index).join(" "));
}

async function submit(event) {
  event.preventDefault();
  if (!text.value.trim()) {
    tell("Type a sentence first.");
    text.focus();
    return;
  }
  pending.abort();
  const own = pending = new AbortController();
  tell("");
  byId("status").textContent = "Translating";
  document.body.classList.add("busy");
  try {
    await translate(text.value, own.signal);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    tell(error.message);
  } finally {
    if (own === pending) {
      byId("status").textContent = "";
      document.body.classList.remove("busy");
    }
  }
}

form.addEventListener("submit", submit);
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
load().catch((error) => {
  if (!(error instanceof Failure)) throw error;
  tell(error.message);
});
})();
