// The pictures that were drawn in this browser, kept in its database.

const STORE = "pictures";

/** The history, newest first. Each record: {id, drawn, parameters, file}. Without a database it ends with the page. */
export class History {
  static async open() {
    const history = new History(await database().catch(() => undefined));
    const kept = await history.#run("readonly", (store) => store.getAll()).catch(() => []);
    history.records = kept ?? [];
    history.#sort();
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
    this.records.splice(this.records.indexOf(record), 1);
    this.#deleted.push(record);
    await this.#run("readwrite", (store) => store.delete(record.id)).catch(() => {}); // then it is back after a reload
  }

  /** Bring back what was deleted last, to its place: others may have come meanwhile. */
  async undo() {
    const record = this.#deleted.pop();
    this.records.push(record);
    this.#sort();
    await this.#keep(record);
    return record;
  }

  #sort() {
    this.records.sort((one, other) => other.drawn - one.drawn);
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
