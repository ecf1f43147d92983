// The page that runs files in a browser: it asks the server for what to do, does it, and answers. The server says by
// which build of onnxruntime-web. Times are taken here, by performance.now(): what travels to the server is never in
// them.
const { build } = await (await fetch("/build")).json();
const ort = await import(`/dist/${build}`);

const TYPES = {
  float32: Float32Array, float64: Float64Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array,
  int8: Int8Array, bool: Uint8Array,
};
const TICKS = 100; // a block of calls lasts so many ticks of the clock, so that its mean is right to a per cent
const MOST_CALLS = 1000; // in a block
const WARM_CALLS = 20; // before a block's length is found: the first ones are slow
const sessions = new Map();
const bounds = new Map();

function tensorOf({ type, shape, data }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return new ort.Tensor(type, new TYPES[type](bytes.buffer), shape);
}

function written(tensor) {
  const bytes = new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
  let text = "";
  for (let begin = 0; begin < bytes.length; begin += 8192) {
    text += String.fromCharCode(...bytes.subarray(begin, begin + 8192));
  }
  return { type: tensor.type, shape: [...tensor.dims], data: btoa(text) };
}

function feedOf(feed) {
  return Object.fromEntries(Object.entries(feed).map(([name, one]) => [name, tensorOf(one)]));
}

function tick() {
  let least = Infinity;
  for (let round = 0; round < 20; round += 1) {
    const begin = performance.now();
    let end = begin;
    while (end === begin) end = performance.now();
    least = Math.min(least, end - begin);
  }
  return least;
}

async function adapter() {
  const found = await navigator.gpu?.requestAdapter();
  if (!found) return null;
  const { vendor, architecture, device, description } = found.info;
  return { vendor, architecture, device, description, fallback: Boolean(found.info.isFallbackAdapter) };
}

const ACTIONS = {
  async begin({ threads, provider }) {
    ort.env.wasm.numThreads = threads;
    ort.env.wasm.wasmPaths = "/dist/";
    ort.env.logLevel = "error";
    return {
      agent: navigator.userAgent,
      isolated: crossOriginIsolated,
      version: ort.env.versions.common,
      tick_ms: tick(),
      adapter: provider === "webgpu" ? await adapter() : null,
    };
  },
  async load({ id, provider }) {
    const bytes = new Uint8Array(await (await fetch(`/file/${id}`)).arrayBuffer());
    const session = await ort.InferenceSession.create(bytes, { executionProviders: [provider] });
    sessions.set(id, session);
    return { inputs: session.inputNames, outputs: session.outputNames, threads: ort.env.wasm.numThreads };
  },
  async run({ id, feed }) {
    const session = sessions.get(id);
    const answers = await session.run(feedOf(feed));
    return session.outputNames.map((name) => written(answers[name]));
  },
  async bind({ id, bound, feeds }) {
    const session = sessions.get(id);
    const made = { session, feeds: feeds.map(feedOf), answers: [], calls: 1 };
    for (let call = 0; call < WARM_CALLS; call += 1) await session.run(made.feeds[0]);
    const wanted = TICKS * tick();
    for (let calls = 1; calls <= MOST_CALLS; calls *= 2) {
      const begin = performance.now();
      for (let call = 0; call < calls; call += 1) await session.run(made.feeds[0]);
      const took = performance.now() - begin;
      made.calls = Math.min(MOST_CALLS, Math.max(1, Math.ceil((wanted * calls) / Math.max(took, 1e-6))));
      if (took >= wanted / 2) break;
    }
    bounds.set(bound, made);
    return { calls: made.calls };
  },
  async time({ bound, numbers }) {
    const { session, feeds, answers, calls } = bounds.get(bound);
    const took = [];
    for (const number of numbers) {
      const begin = performance.now();
      for (let call = 0; call < calls; call += 1) answers[number] = await session.run(feeds[number]);
      took.push(Math.round(((performance.now() - begin) * 1e6) / calls));
    }
    return { ns: took };
  },
  async outputs({ bound, number }) {
    const { session, answers } = bounds.get(bound);
    return session.outputNames.map((name) => written(answers[number][name]));
  },
};

for (;;) {
  const next = await fetch("/next");
  if (next.status === 204) continue;
  if (!next.ok) break;
  const { action, ...asked } = await next.json();
  let answer;
  try {
    answer = { result: await ACTIONS[action](asked) };
  } catch (error) {
    answer = { error: String(error?.message ?? error) };
  }
  await fetch("/done", { method: "POST", body: JSON.stringify(answer) });
}
