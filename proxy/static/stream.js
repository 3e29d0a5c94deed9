// Server-Sent Events by fetch, which can send a key in a header and read why it is refused; EventSource cannot.

const RETRY_MILLISECONDS = 1000;

/** The problem that a body tells of; undefined if it is not in Easel's words, such as a gateway's. */
export const told = (body) => (typeof body?.error?.message === "string" ? body.error : undefined);

/** What EventSource is, as far as it is used here: `addEventListener`, `close`, `readyState`, and coming back. */
export class EventStream extends EventTarget {
  readyState = EventSource.CONNECTING;
  #stop = new AbortController();
  #last = "";

  /** headers: sent with each request. */
  constructor(url, headers) {
    super();
    this.#run(url, headers);
  }

  close() {
    this.readyState = EventSource.CLOSED;
    this.#stop.abort();
  }

  async #run(url, headers) {
    while (this.readyState !== EventSource.CLOSED) {
      try {
        const back = this.#last ? { "Last-Event-ID": this.#last } : {};
        const asked = { ...headers, ...back, Accept: "text/event-stream" };
        const response = await fetch(url, { headers: asked, signal: this.#stop.signal });
        if (response.status !== 200) return this.#refused(response);
        this.readyState = EventSource.OPEN;
        this.dispatchEvent(new Event("open"));
        await this.#read(response.body);
      } catch {
        // The connection broke, or was closed from here.
      }
      if (this.readyState === EventSource.CLOSED) return;
      this.readyState = EventSource.CONNECTING;
      this.dispatchEvent(new Event("error"));
      await new Promise((resolve) => { setTimeout(resolve, RETRY_MILLISECONDS); });
    }
  }

  /** Tell as an event what an answer says that is no stream. */
  async #refused(response) {
    const error = told(await response.json().catch(() => undefined));
    this.close(); // only now: it ends the reading too
    const data = JSON.stringify({ error });
    this.dispatchEvent(error ? new MessageEvent("error", { data }) : new Event("error"));
  }

  async #read(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      rest += part.value;
      if (!part.value.includes("\n")) continue; // megabytes of pictures are one line
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) this.#tell(block);
    }
  }

  #tell(block) {
    const fields = Object.fromEntries(block.split("\n").map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 2)];
    }));
    if (!fields.event) return;
    this.#last = fields.id ?? this.#last;
    this.dispatchEvent(new MessageEvent(fields.event, { data: fields.data }));
  }
}
