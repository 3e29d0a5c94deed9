// The pictures that were drawn in this browser, kept in its database.

const STORE = "pictures";

/** The history. Each record: {id, parameters, media_type, base64, drawn}. Without a database it lasts as long as the page. */
export class History {
  static async open() {
    const database = await new Promise((resolve) => {
      const request = globalThis.indexedDB?.open("easel", 1);
      if (!request) return resolve(undefined);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(undefined);
    }).catch(() => undefined);
    const history = new History(database);
    const kept = database ? await history.#run("readonly", (store) => store.getAll()) : [];
    history.records = kept.sort((one, other) => other.drawn - one.drawn);
    return history;
  }

  #database;
  #deleted = [];

  constructor(database) {
    this.#database = database;
    this.records = [];
  }

  get canUndo() {
    return this.#deleted.length > 0;
  }

  async add(record) {
    this.records.unshift(record);
    await this.#run("readwrite", (store) => store.put(record));
  }

  async delete(record) {
    const place = this.records.indexOf(record);
    this.records.splice(place, 1);
    this.#deleted.push({ record, place });
    await this.#run("readwrite", (store) => store.delete(record.id));
  }

  async undo() {
    const { record, place } = this.#deleted.pop();
    this.records.splice(place, 0, record);
    await this.#run("readwrite", (store) => store.put(record));
  }

  #run(mode, act) {
    if (!this.#database) return undefined;
    return new Promise((resolve, reject) => {
      const request = act(this.#database.transaction(STORE, mode).objectStore(STORE));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  }
}
