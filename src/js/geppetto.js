// The `geppetto` module. Runs once in every VM, is given what only the host can do, and returns `require`.
// Arguments are checked here, where the caller's line is still on the stack.
(function (host) {
  "use strict";

  const wants = (ok, what) => {
    if (!ok) throw new TypeError(what);
  };
  const isObject = (value) => typeof value === "object" && value !== null;
  const isTurn = (value) => isObject(value) && Array.isArray(value.blocks);

  // ---- turns: {id, blocks: [{kind, role, payload: {text}}], metadata, data}
  let turnCount = 0;
  const block = (maker, kind, role) => (text) => {
    wants(typeof text === "string", `turns.${maker}(text): text must be a string`);
    return { kind, role, payload: { text } };
  };
  const turns = {
    newTurn(init = {}) {
      wants(isObject(init), "turns.newTurn(init): init must be an object");
      const { id = `turn-${++turnCount}`, blocks = [], metadata = {}, data = {} } = init;
      wants(Array.isArray(blocks), "turns.newTurn({blocks}): blocks must be an array");
      return { id, blocks: [...blocks], metadata, data };
    },
    newUserBlock: block("newUserBlock", "user", "user"),
    newAssistantBlock: block("newAssistantBlock", "llm_text", "assistant"),
  };

  // ---- engines and middlewares: what a session is made of
  class Engine {
    constructor(reply, call) {
      this.reply = reply;
      this.call = call;
    }
  }
  class Middleware {
    constructor(call, name, site) {
      this.call = call;
      this.name = name;
      this.site = site;
    }
  }
  const named = (f, name) => name || f.name || "anonymous";
  const engines = {
    echo(options) {
      wants(isObject(options) && typeof options.reply === "string", "engines.echo({reply}): reply must be a string");
      return new Engine(options.reply, undefined);
    },
    fromFunction(f) {
      wants(typeof f === "function", "engines.fromFunction(f): f must be a function (turn) => turn");
      return new Engine(undefined, new Middleware(f, `engine ${named(f)}`, host.site()));
    },
  };
  const middlewares = {
    fromJS(f, name) {
      wants(typeof f === "function", "middlewares.fromJS(f, name): f must be a function (turn, next) => turn");
      wants(name === undefined || typeof name === "string", "middlewares.fromJS(f, name): name must be a string");
      return new Middleware(f, `middleware ${named(f, name)}`, host.site());
    },
  };

  // ---- running a chain, always on the owner: the first callback is called by the run, the rest by `next`
  const answer = (turn, reply) => ({ ...turn, blocks: [...turn.blocks, turns.newAssistantBlock(reply)] });
  const step = (chain, at, turn) => {
    wants(isTurn(turn), at === 0 ? "a turn is needed" : `next(turn): turn must have an array of blocks`);
    const link = chain[at];
    if (link instanceof Engine) return link.call ? call(link.call, [turn]) : answer(turn, link.reply);
    return call(link, [turn, (turn) => step(chain, at + 1, turn)]);
  };
  const call = (link, args) => {
    const result = link.call(...args);
    if (isTurn(result)) return result;
    const promise = isObject(result) && typeof result.then === "function";
    const got = promise ? "a promise, which cannot be awaited in the middle of a run" : typeof result;
    throw new TypeError(`${link.name} must return a turn, and returned ${got}`);
  };

  let sessionCount = 0;
  class Session {
    #turn = turns.newTurn();
    #host;
    constructor(options) {
      const form = "createSession({engine, middlewares})";
      wants(isObject(options), `${form}: options must be an object`);
      const { engine, middlewares = [], name = `session ${++sessionCount}` } = options;
      wants(engine instanceof Engine, `${form}: engine must come from engines.echo or engines.fromFunction`);
      wants(
        Array.isArray(middlewares) && middlewares.every((one) => one instanceof Middleware),
        `${form}: middlewares must be an array of what middlewares.fromJS returns`,
      );
      wants(typeof name === "string", `${form}: name must be a string`);
      // Without a callback a run has no need of the VM, and the engine answers on the run's thread.
      const chain = [...middlewares, engine];
      const first = middlewares[0] ?? engine.call;
      const infer = first && ((turn) => JSON.stringify(step(chain, 0, JSON.parse(turn))));
      const answered = first ? undefined : JSON.stringify(turns.newAssistantBlock(engine.reply));
      this.#host = host.open(name, infer, answered, first?.name ?? "", first?.site ?? host.site());
    }
    append(turn) {
      wants(isTurn(turn), "session.append(turn): turn must have an array of blocks");
      this.#turn = { ...this.#turn, blocks: [...this.#turn.blocks, ...turn.blocks] };
      return this;
    }
    #begin(turn, method) {
      wants(turn === undefined || isTurn(turn), `session.${method}(turn): turn must have an array of blocks`);
      if (turn !== undefined) this.append(turn);
      return JSON.stringify(this.#turn);
    }
    #end(text) {
      this.#turn = JSON.parse(text);
      return this.#turn;
    }
    /** Waits for the answer. */
    run(turn) {
      return this.#end(this.#host.run(this.#begin(turn, "run"), host.site()));
    }
    /** Starts and goes on: `{id, promise, isRunning()}`. */
    start(turn) {
      const input = this.#begin(turn, "start");
      const site = host.site();
      const handle = { id: 0, promise: undefined, isRunning: () => running };
      let running = true;
      handle.promise = new Promise((resolve, reject) => {
        const settled = (settle) => (value) => {
          running = false;
          settle(value);
        };
        const fulfil = settled((text) => resolve(this.#end(text)));
        handle.id = this.#host.start(input, site, fulfil, settled(reject));
      });
      return handle;
    }
    /** Starts and returns the promise. */
    runAsync(turn) {
      return this.start(turn).promise;
    }
  }

  const geppetto = { engines, middlewares, turns, createSession: (options) => new Session(options) };

  // ---- what every script has
  const show = (value) => {
    if (typeof value === "string") return value;
    if (value instanceof Error) return String(value);
    if (typeof value === "function") return `[function ${value.name || "anonymous"}]`;
    try {
      return JSON.stringify(value) ?? String(value);
    } catch {
      return String(value);
    }
  };
  const log = (...values) => host.print(values.map(show).join(" "));
  globalThis.console = { log, info: log, warn: log, error: log, debug: log };
  globalThis.assert = (condition, message) => {
    if (!condition) throw new Error(message === undefined ? "assertion failed" : `assertion failed: ${message}`);
  };
  globalThis.require = (name) => {
    if (name === "geppetto") return geppetto;
    throw new Error(`there is no module ${JSON.stringify(name)}: the only one is "geppetto"`);
  };
})
