// What a service worker does for the hub: shows every push, keeps the badge,
// tells the hub what became of it, and brings a click to its conversation.
// A classic script for importScripts, so that it runs in every browser with push.
(() => {
  const sw = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));

  const MAX_SHOWN = 200;
  const MAX_BADGES = 8;
  const STORAGE_WITHIN = 1_000;
  const ANSWER_WITHIN = 300;
  // The network that brought a push may be changing, or the hub be starting.
  const RECEIPT_TRIES = [0, 1_000, 5_000];

  /**
   * @typedef {{agent: string, total: number, version: number}} Badge
   * @typedef {object} PushData
   * @property {string} id
   * @property {string} kind
   * @property {string} agent
   * @property {string} device
   * @property {number} generation
   * @property {string} [conversation]
   * @property {string} [message]
   * @property {Badge[] | null} [badges]
   * @property {string[] | null} [close]
   * @property {string} receipt
   * @property {string} receipts
   *
   * @typedef {object} Note what is to be shown
   * @property {string} title
   * @property {string} body
   * @property {string} tag
   * @property {string} [lang]
   * @property {string} [image]
   * @property {string} [navigate]
   * @property {PushData | null} caac
   */

  // ---- Storage: database "caac", see sdk/storage.js.

  /** @returns {Promise<IDBDatabase>} */
  function openDB() {
    return new Promise((resolve, reject) => {
      const r = indexedDB.open('caac', 1);
      r.onupgradeneeded = () => r.result.createObjectStore('kv');
      r.onsuccess = () => resolve(r.result);
      r.onerror = r.onblocked = () => reject(r.error);
    });
  }

  /**
   * Replaces a value in one transaction; gives up after a second, with what
   * change makes of nothing: a notification never waits for storage.
   * @template T
   * @param {string} key
   * @param {(value: any) => T} change
   * @returns {Promise<T>}
   */
  async function update(key, change) {
    const work = (async () => {
      const db = await openDB();
      try {
        return await new Promise((resolve, reject) => {
          const tx = db.transaction('kv', 'readwrite');
          const store = tx.objectStore('kv');
          /** @type {T} */
          let value;
          const got = store.get(key);
          got.onsuccess = () => {
            value = change(got.result);
            if (value !== got.result) store.put(value, key);
          };
          tx.oncomplete = () => resolve(value);
          tx.onabort = tx.onerror = () => reject(tx.error);
        });
      } finally {
        db.close();
      }
    })();
    const late = new Promise((_, reject) => setTimeout(reject, STORAGE_WITHIN));
    try {
      return /** @type {T} */ (await Promise.race([work, late]));
    } catch {
      return change(undefined);
    }
  }

  /** @param {string} key */
  const read = (key) => update(key, (value) => value);

  // ---- Showing.

  /** Whether a newer notification with the same tag leaves the older one standing. */
  function tagsDoNothing() {
    const ua = sw.navigator.userAgent;
    return /AppleWebKit/.test(ua) && !/Chrom(e|ium)|Edg|Android/.test(ua);
  }

  /** @param {unknown} v */
  const text = (v) => (typeof v === 'string' ? v : '');

  /**
   * Reads a push, whatever it holds.
   * @param {PushEvent} event
   * @returns {Note}
   */
  function noteOf(event) {
    /** @type {any} */
    let payload = null;
    try {
      payload = event.data?.json();
    } catch {
      // Not JSON: shown without words of its own.
    }
    // A browser that has read a declarative message itself hands it over so.
    const proposed = /** @type {any} */ (event).notification;
    const n = payload?.notification ?? proposed ?? {};
    const caac = n.data;
    const known = caac && typeof caac === 'object' && text(caac.id) && text(caac.agent) ? caac : null;
    const title = text(n.title);
    return {
      title: title || 'CAAC',
      body: text(n.body) || (title ? '' : 'Something new is waiting.'),
      tag: text(n.tag) || (known ? `${known.agent}/${known.conversation || known.id}` : 'caac'),
      lang: text(n.lang),
      image: text(n.image),
      navigate: text(n.navigate),
      caac: known,
    };
  }

  /**
   * @param {Note} note
   * @param {boolean} again shown before: not to ring
   */
  async function show(note, again) {
    const { caac, tag } = note;
    const data = {
      from: 'caac',
      tag,
      agent: caac?.agent,
      conversation: caac?.conversation,
      version: list(caac?.badges).find((b) => b?.agent === caac?.agent)?.version,
      navigate: note.navigate,
      receipts: caac?.receipts,
      receipt: caac && receiptOf(caac),
    };
    if (tagsDoNothing()) await closeTags([tag]);
    else await markReplaced(tag, caac?.id);
    /** @type {NotificationOptions} */
    const options = { body: note.body, tag, renotify: !again, silent: again, data };
    if (note.lang) options.lang = note.lang;
    try {
      await sw.registration.showNotification(note.title, note.image ? { ...options, image: note.image } : options);
    } catch {
      await sw.registration.showNotification(note.title, { body: note.body, tag, data });
    }
  }

  /**
   * Deliveries whose notification was closed here. Firefox says of those too
   * that they were closed; only the agent's own closing is a dismissal.
   * @type {Set<string>}
   */
  const closed = new Set();

  /** @param {Notification} n */
  function close(n) {
    if (n.data?.receipt) closed.add(n.data.receipt.id);
    n.close();
  }

  /**
   * @param {string} tag
   * @param {string | undefined} by
   */
  async function markReplaced(tag, by) {
    try {
      for (const n of await sw.registration.getNotifications({ tag })) {
        const id = n.data?.receipt?.id;
        if (id && id !== by) closed.add(id);
      }
    } catch {
      // At worst a replaced one counts as dismissed.
    }
  }

  /** @param {string[]} tags */
  async function closeTags(tags) {
    try {
      for (const n of await sw.registration.getNotifications()) {
        if (tags.includes(n.tag) || tags.includes(n.data?.tag)) close(n);
      }
    } catch {
      // A platform that can't list them closes none.
    }
  }

  /**
   * @template T
   * @param {T[] | null | undefined} v
   * @returns {T[]}
   */
  function list(v) {
    return Array.isArray(v) ? v : [];
  }

  // ---- Badge.

  /**
   * Keeps the newest per agent. A list that is not full names every login of the
   * device: others are logged in here no more.
   * @param {Record<string, {total: number, version: number}> | undefined} known
   * @param {Badge[]} news
   */
  function mergeBadges(known, news) {
    /** @type {Record<string, {total: number, version: number}>} */
    const merged = news.length < MAX_BADGES ? {} : { ...known };
    for (const { agent, total, version } of news) {
      const old = known?.[agent];
      merged[agent] = old && old.version > version ? old : { total, version };
    }
    return merged;
  }

  /** @param {Badge[]} news */
  async function setBadge(news) {
    const valid = news.filter((b) => b && text(b.agent) && Number.isFinite(b.total) && Number.isFinite(b.version));
    if (valid.length === 0 || !sw.navigator.setAppBadge) return;
    const badges = await update('badges', (known) => mergeBadges(known, valid));
    const sum = Object.values(badges).reduce((n, b) => n + b.total, 0);
    await (sum > 0 ? sw.navigator.setAppBadge(sum) : sw.navigator.clearAppBadge());
  }

  // ---- Receipts.

  /** @param {PushData} c */
  function receiptOf(c) {
    return {
      conversation: c.conversation,
      message: c.message,
      id: c.id,
      agent: c.agent,
      device: c.device,
      generation: c.generation,
      kind: c.kind,
      token: c.receipt,
    };
  }

  /**
   * @param {any} data of a notification
   * @param {'displayed' | 'clicked' | 'dismissed'} event
   */
  async function postReceipt(data, event) {
    if (!data?.receipt || !data.receipts) return;
    const post = (/** @type {string | URL} */ url) =>
      fetch(url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ ...data.receipt, event }),
        keepalive: true,
        credentials: 'omit',
      });
    // The hub may be known here by another name than its public one.
    const byOtherName = async () => post(new URL('v1/receipts', (await read('hub')).url));
    for (const pause of RECEIPT_TRIES) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      const response = await post(data.receipts).catch(byOtherName).catch(() => null);
      if (response && response.status < 500) return;
    }
  }

  /** @param {Promise<unknown>[]} work */
  const settle = (...work) => Promise.allSettled(work);

  // ---- Push.

  /** Pushes are shown one after the other: two of one delivery must not both ring. */
  let turn = Promise.resolve();

  /**
   * @param {Note} note
   * @returns {Promise<{receipt: Promise<unknown>} | null>} the receipt on its way
   */
  async function onPush(note) {
    const { caac } = note;
    const before = caac ? list(await read('shown')).includes(caac.id) : false;
    let displayed = true;
    try {
      await show(note, before);
    } catch {
      // Not allowed to any more; there is nobody to tell here.
      displayed = false;
    }
    if (!caac) return null;
    if (displayed) {
      await update('shown', (ids) => list(ids).filter((id) => id !== caac.id).concat(caac.id).slice(-MAX_SHOWN));
    }
    const receipt = displayed
      ? postReceipt({ receipts: caac.receipts, receipt: receiptOf(caac) }, 'displayed')
      : Promise.resolve();
    await settle(
      closeTags(list(caac.close).filter((tag) => tag !== note.tag)),
      setBadge(list(caac.badges)).finally(() => tellPages(caac)),
    );
    return { receipt };
  }

  /** @param {PushData} caac */
  async function tellPages(caac) {
    for (const page of await pages()) {
      page.postMessage({ type: 'caac-push', id: caac.id, agent: caac.agent });
      if (caac.kind === 'test') page.postMessage({ type: 'caac-test', id: caac.id });
    }
  }

  const pages = () => sw.clients.matchAll({ type: 'window', includeUncontrolled: true });

  sw.addEventListener('push', (event) => {
    const note = noteOf(event);
    const work = turn.then(() => onPush(note)).catch(() => null);
    turn = work.then(() => {});
    // No push waits for another's receipt. Nor does the event where the browser
    // shows a notification of its own when none stands at its end: one may be
    // clicked while its receipt is on its way, which goes on by itself.
    event.waitUntil(tagsDoNothing() ? work.then((done) => done?.receipt) : work);
  });

  // ---- Clicks.

  /**
   * @param {string} url
   * @returns {string} "" for none
   */
  function pathOf(url) {
    try {
      const u = new URL(url, sw.location.href);
      return u.origin === sw.location.origin ? u.pathname : '';
    } catch {
      return '';
    }
  }

  /**
   * Asks a page which agent it is.
   * @param {Client} page
   * @returns {Promise<string | undefined>} undefined: no answer, it may be frozen or not ours
   */
  function agentOf(page) {
    return new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      const late = setTimeout(() => resolve(undefined), ANSWER_WITHIN);
      port1.onmessage = (e) => {
        clearTimeout(late);
        port1.close();
        resolve(e.data?.agent);
      };
      page.postMessage({ type: 'caac-who' }, [port2]);
    });
  }

  /**
   * The open page to bring a click to: where the URL leads, else a page of the
   * agent, else one that sleeps where the agent's page last stood.
   * @param {{agent?: string, navigate?: string}} data
   * @returns {Promise<WindowClient | undefined>}
   */
  async function pageFor({ agent, navigate }) {
    const all = [...(await pages())];
    const path = navigate ? pathOf(navigate) : '';
    const agents = await Promise.all(all.map(agentOf));
    const fits = (/** @type {number} */ i) => !agents[i] || !agent || agents[i] === agent;
    const known = agent ? (await read('pages'))?.[agent] : undefined;
    return (
      all.find((p, i) => path && pathOf(p.url) === path && fits(i)) ??
      all.find((_, i) => agent && agents[i] === agent) ??
      all.find((p, i) => known && pathOf(p.url) === known && fits(i))
    );
  }

  /** @param {any} data of a notification */
  async function open(data) {
    const { agent, conversation, navigate } = data;
    const click = String(Math.random());
    if (conversation) await update('route', () => ({ agent, conversation, click, at: Date.now() }));
    const page = await pageFor(data);
    if (page) {
      try {
        if (conversation) page.postMessage({ type: 'caac-open', conversation, agent, click });
        await page.focus();
        return;
      } catch {
        // Gone meanwhile, or not allowed to be focused: a new one then.
      }
    }
    await sw.clients.openWindow(navigate || sw.registration.scope);
  }

  sw.addEventListener('notificationclick', (event) => {
    const data = event.notification.data ?? {};
    // Others are the host's, whose worker this may be. One that the browser has
    // raised of a declarative message carries the push's own data.
    if (data.from !== 'caac' && !data.receipts) return;
    close(event.notification);
    event.waitUntil(settle(open(data), postReceipt(data, 'clicked')));
  });

  sw.addEventListener('notificationclose', (event) => {
    const data = event.notification.data;
    if (!closed.delete(data?.receipt?.id)) event.waitUntil(settle(postReceipt(data, 'dismissed')));
  });

  // ---- Subscription.

  /** @param {any} event PushSubscriptionChangeEvent */
  async function resubscribe(event) {
    const hub = await read('hub');
    if (!hub?.device || !hub.vapid) return;
    const subscription =
      event.newSubscription ??
      (await sw.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: hub.vapid.public }));
    const { endpoint, keys } = subscription.toJSON();
    await fetch(new URL('v1/device/subscription', hub.url), {
      method: 'PUT',
      headers: { 'Content-Type': 'application/json', 'X-Device': hub.device.id, 'X-Device-Key': hub.device.key },
      body: JSON.stringify({ endpoint, keys, key_id: hub.vapid.id }),
      credentials: 'omit',
    });
  }

  sw.addEventListener('pushsubscriptionchange', (event) => {
    /** @type {ExtendableEvent} */ (event).waitUntil(settle(resubscribe(event)));
  });
})();
