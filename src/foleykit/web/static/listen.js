"use strict";

const RETRY_MS = 1000;
const element = (id) => document.getElementById(id);
const sections = ["join", "trial", "done"];

let state = null; // what the server said last
let heard = new Set(); // places of sounds that were played to their end
let playing = null; // place of the sound that the player holds
let answers = {}; // chosen places by criterion, as the listener sees them
let unsaved = new Set(); // criteria whose answer has not reached the disk yet
let isSaving = false;

const letter = (place) => String.fromCharCode(65 + place);

function say(text, isWarning = false) {
  const status = element("status");
  status.textContent = text;
  status.classList.toggle("warn", isWarning);
}

/* Returns the server's answer as {ok, body}; asks again for as long as no server answers. */
async function ask(method, address, content) {
  for (;;) {
    try {
      const response = await fetch(address, {
        method,
        headers: content === undefined ? {} : { "Content-Type": "application/json" },
        body: content === undefined ? undefined : JSON.stringify(content),
      });
      if (response.status < 500) {
        return { ok: response.ok, body: await response.json() };
      }
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof SyntaxError)) {
        throw error;
      }
    }
    const what = method === "PUT" ? "Not saved yet: the" : "The";
    say(`${what} server does not answer. Trying again; leave this page open.`, true);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

function show(name) {
  for (const section of sections) {
    element(section).hidden = section !== name;
  }
  const focused = name === "join" ? element("name") : element(name).querySelector("h1");
  focused.focus();
}

function render(news) {
  state = news;
  document.title = state.title;
  element("title").textContent = state.title;
  element("leave").hidden = !state.has_joined;
  if (!state.has_joined) {
    show("join");
  } else if (state.trial === null) {
    show("done");
  } else {
    renderTrial(state.trial);
    show("trial");
  }
}

function renderTrial(trial) {
  heard = new Set();
  unsaved = new Set();
  playing = null;
  answers = { ...trial.answers };
  element("where").textContent = `Comparison ${trial.number} of ${trial.num_trials}`;
  element("progress").max = trial.num_trials;
  element("progress").value = trial.number - 1;
  element("next").textContent = trial.number === trial.num_trials ? "Finish" : "Next";
  element("player").src = trial.sounds[0]; // its first picture is what can be seen before anything is heard
  element("plays").replaceChildren(...trial.sounds.map((address, place) => playButton(address, place)));
  element("questions").replaceChildren(
    ...Object.entries(state.questions).map(([key, question]) => questionBox(key, question, trial.sounds.length)),
  );
  update();
}

function playButton(address, place) {
  const button = document.createElement("button");
  button.type = "button";
  button.addEventListener("click", () => {
    const player = element("player");
    player.pause();
    playing = place === playing ? null : place; // the same button again stops it
    if (playing !== null) {
      player.src = address;
      player.play().catch(() => {}); // what went wrong arrives as an error event
    }
    if (element("status").classList.contains("warn") && unsaved.size === 0) {
      say("");
    }
    update();
  });
  return button;
}

function questionBox(key, question, numSounds) {
  const box = document.createElement("fieldset");
  const legend = document.createElement("legend");
  legend.textContent = question;
  box.append(legend);
  for (let place = 0; place < numSounds; place += 1) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    input.type = state.several ? "checkbox" : "radio";
    input.name = key;
    input.value = place;
    input.checked = (answers[key] ?? []).includes(place);
    input.addEventListener("change", () => choose(key, box));
    label.append(input, `Sound ${letter(place)}`);
    box.append(label);
  }
  return box;
}

function choose(key, box) {
  answers[key] = [...box.querySelectorAll("input:checked")].map((input) => Number(input.value));
  unsaved.add(key);
  update();
  save();
}

/* Sends what is not stored yet, one answer after the other, until nothing is left. */
async function save() {
  if (isSaving) {
    return;
  }
  isSaving = true;
  const trial = state.trial;
  for (const key of unsaved) {
    const places = answers[key];
    if (places.length === 0) {
      unsaved.delete(key); // nothing chosen is not an answer; the last stored one stays until another is chosen
      continue;
    }
    const { ok, body } = await ask("PUT", `/api/trials/${trial.number}/answers/${key}`, { places });
    if (!ok) {
      isSaving = false;
      await refresh(body.error);
      return;
    }
    if (answers[key] === places) {
      unsaved.delete(key);
      say("Saved.");
    } else {
      unsaved.delete(key); // moved to the end of the queue
      unsaved.add(key);
    }
  }
  isSaving = false;
  update();
}

/* Shows what the server knows, after an answer that it did not take. */
async function refresh(reason) {
  render((await ask("GET", "/api/state")).body);
  say(reason ?? "", Boolean(reason));
}

function update() {
  const numSounds = state.trial.sounds.length;
  [...element("plays").children].forEach((button, place) => {
    button.textContent = `${heard.has(place) ? "✓ " : ""}Play sound ${letter(place)}`;
    button.setAttribute("aria-pressed", String(place === playing));
    button.setAttribute("aria-label", `Play sound ${letter(place)}${heard.has(place) ? ", heard" : ""}`);
  });
  const hasHeardAll = heard.size === numSounds;
  element("task").textContent = hasHeardAll
    ? `Choose ${state.several ? "one or more sounds" : "a sound"} for every question. You may listen again.`
    : "Listen to every sound to its end; then you can answer.";
  for (const box of element("questions").children) {
    box.disabled = !hasHeardAll;
  }
  const isAnswered = Object.keys(state.questions).every((key) => (answers[key] ?? []).length > 0);
  element("next").disabled = !isAnswered || unsaved.size > 0;
}

element("player").addEventListener("ended", () => {
  heard.add(playing);
  playing = null;
  update();
});

element("player").addEventListener("error", () => {
  if (playing !== null) {
    playing = null;
    update();
    say("This sound could not be played. Try again; if it stays so, use another browser.", true);
  }
});

element("next").addEventListener("click", async () => {
  element("next").disabled = true;
  const { ok, body } = await ask("POST", `/api/trials/${state.trial.number}/finish`);
  if (!ok) {
    await refresh(body.error);
    return;
  }
  render(body);
  say("");
});

element("join").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { ok, body } = await ask("POST", "/api/join", { name: element("name").value });
  if (ok) {
    render(body);
  }
  say(ok ? "" : (body.error ?? "This name cannot be used."), !ok);
});

element("leave").addEventListener("click", async () => {
  element("player").pause();
  element("name").value = "";
  render((await ask("POST", "/api/leave")).body);
  say("");
});

window.addEventListener("beforeunload", (event) => {
  if (unsaved.size > 0) {
    event.preventDefault();
  }
});

refresh();
