// The pictures that were drawn in this browser, kept in its database.

const STORE = "pictures";

/** The history, newest first. Each record: {id, drawn, parameters, file}. Without a database it ends with the page. */
export class History {
  static async open() {
    const history = new History(await database().catch(() => undefined));
    const kept = await history.#run("readonly", (store) => store.getAll()).catch(() => []);
    history.records = (kept ?? []).sort((one, other) => other.drawn - one.drawn);
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

  /** Whether the record will still be there when the page is opened again. */
  async add(record) {
    this.records.unshift(record);
    return this.#keep(record);
  }

  async delete(record) {
    const place = this.records.indexOf(record);
    this.records.splice(place, 1);
    this.#deleted.push({ record, place });
    await this.#run("readwrite", (store) => store.delete(record.id)).catch(() => {}); // then it is back after a reload
  }

  /** Bring back what was deleted last. */
  async undo() {
    const { record, place } = this.#deleted.pop();
    this.records.splice(place, 0, record);
    await this.#keep(record);
    return record;
  }

  /** A full disk is no reason to lose sight of a picture. */
  #keep(record) {
    return this.#run("readwrite", (store) => store.put(record)).then(() => Boolean(this.#database), () => false);
  }

  async #run(mode, act) {
    if (!this.#database) return undefined;
    const transaction = this.#database.transaction(STORE, mode);
    const request = act(transaction.objectStore(STORE));
    // A full disk may show only after the request, when the transaction ends.
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

/** Rejects where the browser keeps nothing, as some do in another site's frame. */
async function database() {
  const request = indexedDB.open("easel", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
