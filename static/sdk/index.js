/**
 * The browser SDK of the CAAC notification hub.
 *
 *     import { connect } from '/sdk/index.js';
 *     const client = connect({ token: async () => myToken(), onOpen: (id) => show(id) });
 *     client.viewing('conversation-7');
 *
 * @module
 */
/** @import {CountsFrame, Welcome} from './types.js' */
import { createApi, HubError } from './api.js';
import { applyCounts, applyWelcome, nothingShown } from './counts.js';
import { badgeCount, titleCount } from './indicators.js';
import { deviceLabel, platform } from './device.js';
import { closeWhere, notify, permission, register, within } from './local.js';
import { checkOptions } from './options.js';
import { watchPresence } from './presence.js';
import * as push from './push.js';
import { createRenderer } from './render.js';
import { createSocket } from './socket.js';
import { device, keep, keepDevice, kept, update, watchDevice } from './storage.js';
import { createToasts } from './toast.js';

export { HubError };

const REFRESH_AGAIN = 5_000;
const ROUTE_HOLDS = 60_000;
const TURN_WITHIN = 10_000;
const SUBSCRIBING_HOLDS = 10_000;
const MAX_READS = 500;
const READ_EVERY = 60;
const MAX_TIMER = 24 * 3600_000;
const SOUND = 'caac.sound';

/** @typedef {ReturnType<typeof connect>} Client */
/** @typedef {import('./types.js').Options} Options */
/** @typedef {import('./types.js').Counts} Counts */
/** @typedef {import('./types.js').Change} Change */
/** @typedef {import('./types.js').Show} Show */
/** @typedef {import('./types.js').NotifyFrame} NotifyFrame */
/** @typedef {import('./types.js').Settings} Settings */
/** @typedef {import('./types.js').Self} Self */
/** @typedef {import('./types.js').State} State */
/** @typedef {import('./types.js').StateInfo} StateInfo */
/** @typedef {import('./types.js').PushResult} PushResult */
/** @typedef {import('./types.js').TestResult} TestResult */
/** @typedef {import('./types.js').PushTestResult} PushTestResult */
/** @typedef {import('./types.js').Login} Login */

/**
 * Connects this page as a login of the token's agent, until close or logout. A
 * page has one client: the one before is closed. For browsers alone; on a
 * server the module may be imported, and this not be called.
 * @param {Options} options
 * @throws {TypeError} says which option is wrong, and what is allowed
 */
export function connect(options) {
  const base = checkOptions(options);
  const page = /** @type {any} */ (globalThis);
  page.caacClient?.close();
  const socketUrl = new URL('v1/socket', base);
  socketUrl.protocol = base.protocol.replace('http', 'ws');

  /**
   * @param {'onCounts' | 'onOpen' | 'onDuty' | 'onSettings' | 'onState' | 'onWithdraw'} name
   * @param {any[]} args
   */
  function call(name, ...args) {
    try {
      /** @type {any} */ (options)[name]?.(...args);
    } catch (e) {
      reportError(e); // the host's, as if nothing had called it
    }
  }

  const life = new AbortController();
  const { signal } = life;
  const api = createApi(base, options.token);
  /** @type {ReturnType<typeof register>} */
  let registration;
  const worker = () => registration;
  /** @type {ReturnType<typeof import('./profile.js').createPushTests> | undefined} */
  let pushTests;
  const shown = nothingShown();
  const title = options.title === false ? null : titleCount();
  /** @type {Promise<ReturnType<typeof import('./favicon.js').faviconCount>> | undefined} */
  let favicon;
  const toasts = options.toast === false ? null : createToasts(options.toast, open);
  const soundOn = () => kept(SOUND) === true;
  /** @type {Promise<ReturnType<typeof import('./sound.js').createSound>> | undefined} */
  let sound;
  const renderer = createRenderer({ options, worker, toasts, presence: () => presence, self, version: () => shown.version });

  /** @type {State} */
  let state = 'connecting';
  /** @type {Welcome | null} */
  let welcome = null;
  /** @type {Settings | null} */
  let settings = null;
  let onDuty = false;
  let knownPermission = permission();
  let saidHello = ''; // of the page, by the newest hello
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let refreshing;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let renewing;
  let lastClick = '';
  /** @type {Map<string, number>} reads, to be told again after a broken connection */
  const reads = new Map();
  /** @type {(() => void)[]} */
  const whenWelcome = [];
  /** @type {Promise<unknown>} the subscription that is under way */
  let subscribing = Promise.resolve();

  const presence = watchPresence({
    signal,
    tell: (s) => socket.claim({ type: 'state', state: s, permission: lookAtPermission() }),
    wake(doubt) {
      lookAtPermission();
      socket.wake(doubt);
      void followRoute();
    },
    tick: () => socket.wake(false),
  });

  const socket = createSocket({
    url: socketUrl.href,
    turn,
    token: options.token,
    hello: (token) => ({
      type: 'hello',
      token,
      device: device() ?? undefined,
      place: options.place,
      version: shown.whole,
      label: deviceLabel(navigator.userAgent),
      platform: platform(),
      ...helloSays(),
    }),
    probe: () => ({ type: 'refresh', version: shown.whole }),
    onFrame,
    onState: setState,
  });

  /**
   * The first page of a device is given its identity; another that opens at the
   * same time waits for it, so that they are one device.
   * @returns {Promise<() => void>}
   */
  function turn() {
    if (device() || !navigator.locks) return Promise.resolve(() => {});
    return new Promise((resolve) => {
      const late = setTimeout(() => resolve(() => {}), TURN_WITHIN);
      navigator.locks
        .request('caac.device', () => new Promise((done) => {
          clearTimeout(late);
          setTimeout(done, TURN_WITHIN);
          resolve(/** @type {() => void} */ (done));
        }))
        .catch(() => {});
    });
  }

  /**
   * @param {any} frame
   * @param {(frame: object) => boolean} reply
   * @param {boolean} fresh
   */
  function onFrame(frame, reply, fresh) {
    switch (frame.type) {
      case 'welcome': return onWelcome(frame, fresh);
      case 'counts': return onCounts(frame);
      case 'notify': return void onNotify(frame, reply);
      case 'withdraw': return onWithdraw(frame.conversations ?? [], frame.tags ?? [], frame.reason);
      case 'duty':
        if (welcome) welcome.on_duty = frame.on_duty;
        if (frame.on_duty && !onDuty) refresh();
        return setDuty(frame.on_duty);
      case 'settings':
        settings = frame.settings;
        if (!frame.settings.device.subscribed || frame.settings.device.resubscribe) void mend();
        return tellSettings();
      case 'test': return pushTests?.frame(frame);
    }
  }

  /**
   * @param {Welcome} w
   * @param {boolean} fresh
   */
  function onWelcome(w, fresh) {
    clearTimeout(refreshing);
    refreshing = undefined;
    if (welcome && welcome.agent !== w.agent) {
      Object.assign(shown, nothingShown());
      reads.clear();
    }
    welcome = w;
    settings = w.settings;
    if (w.device.key) keepDevice(w.device);
    void update('hub', () => ({ url: base.href, device: device(), vapid: w.vapid }));
    void update('pages', (known) => ({ ...known, [w.agent]: location.pathname }));
    presence.renewEvery(w.renew_seconds || 15);
    renewToken(w.expires ?? 0);

    const before = w.same ? null : new Set(shown.unread.keys());
    if (applyWelcome(shown, w) === 'stale') refreshLater();
    else {
      const read = (/** @type {string} */ c) => !shown.unread.has(c);
      if ([...shown.unread.values()].reduce((sum, c) => sum + c.unread, 0) >= w.total) {
        if (!w.same) void closeNotifications(read, w.version);
        for (const c of reads.keys()) if (read(c)) reads.delete(c);
      }
      for (const c of before ?? []) if (read(c)) toasts?.close(c);
    }
    showCounts();
    setDuty(w.on_duty);
    tellSettings();
    if (fresh) {
      // What changed since the hello went nowhere, or to the socket before.
      if (JSON.stringify({ state: presence.state(), permission: permission() }) !== saidHello) claim();
      // One after the other: the hub closes a page that floods it.
      let reading = 0;
      for (const [conversation, upto] of reads) setTimeout(() => socket.send({ type: 'read', conversation, upto }), READ_EVERY * reading++);
      void mend();
    }
    for (const f of whenWelcome.splice(0)) f();
    void followRoute();
  }

  /** The worker may have gone with cleared storage. */
  function registerWorker() {
    registration = register(options.serviceWorker);
    registration.catch(() => {});
  }

  async function mend() {
    if (!welcome || !settings) return;
    registerWorker();
    const repaired = registration.then((r) => push.repair(r, () => [/** @type {Settings} */ (settings).device, /** @type {Welcome} */ (welcome).vapid], api));
    subscribing = Promise.allSettled([subscribing, repaired]);
    try {
      if (await repaired) refresh(true);
    } catch {
      // Tried again at the next start; until then the hub says what it has.
    }
  }

  /** @param {CountsFrame} counts */
  function onCounts(counts) {
    const was = applyCounts(shown, counts);
    if (was === 'stale') return;
    const read = (counts.changed ?? []).filter((c) => c.unread === 0).map((c) => c.conversation);
    if (read.length > 0) {
      void closeNotifications((c) => read.includes(c), counts.version);
      for (const c of read) {
        toasts?.close(c);
        reads.delete(c);
      }
    }
    showCounts();
    if (was === 'gap') refresh();
  }

  function showCounts() {
    title?.set(shown.total);
    if (options.favicon !== false && (favicon || shown.total)) {
      favicon ??= import('./favicon.js').then((f) => f.faviconCount());
      favicon.then((f) => f.set(shown.total), () => (favicon = undefined));
    }
    showBadge();
    call('onCounts', { total: shown.total, version: shown.version, conversations: [...shown.unread.values()] });
  }

  function showBadge() {
    if (welcome && options.badge !== false) void badgeCount(welcome.agent, { ...shown });
  }

  /**
   * Closes system notifications of this agent's conversations that no longer
   * wait. One raised for a newer state than version stays.
   * @param {(conversation: string) => boolean} gone
   * @param {number} version
   */
  async function closeNotifications(gone, version) {
    const agent = welcome?.agent;
    await closeWhere(await registration.catch(() => null), (d) =>
      d.agent === agent && d.conversation && gone(d.conversation) && !((d.version ?? 0) > version));
  }

  /**
   * Asks for everything, until it came.
   * @param {boolean} [again] what is on its way may be older than what is asked for
   */
  function refresh(again) {
    if (refreshing && !again) return;
    socket.send({ type: 'refresh', version: shown.whole });
    refreshLater();
  }

  function refreshLater() {
    clearTimeout(refreshing);
    if (signal.aborted) return;
    refreshing = setTimeout(() => {
      refreshing = undefined;
      refresh();
    }, REFRESH_AGAIN);
  }

  /**
   * @param {NotifyFrame} frame
   * @param {(frame: object) => boolean} reply
   */
  async function onNotify(frame, reply) {
    if (frame.counts) onCounts(frame.counts);
    const ack = await renderer.render(frame);
    if (ack) reply({ type: 'ack', id: frame.id, ...ack });
    if (ack?.rendered && frame.channel === 'in_app' && frame.reason !== 'viewing_conversation') void playSound();
  }

  /**
   * @param {string[]} conversations
   * @param {string[]} tags
   * @param {string} reason
   */
  function onWithdraw(conversations, tags, reason) {
    for (const c of conversations) toasts?.close(c);
    void registration.then((r) => closeWhere(r, (d) => d.tag && tags.includes(d.tag)), () => {});
    call('onWithdraw', conversations, reason);
  }

  async function playSound() {
    if (!soundOn()) return false;
    return loadSound().then((s) => s.play(), () => false);
  }

  /** From then on the first click or key lets the page be heard. */
  function loadSound() {
    sound ??= import('./sound.js').then((s) => s.createSound());
    sound.catch(() => (sound = undefined));
    return sound;
  }

  /** @param {string} conversation */
  function open(conversation) {
    call('onOpen', conversation);
  }

  /**
   * Shows what a click asked for before this page was there or awake.
   * @returns {Promise<void>}
   */
  async function followRoute() {
    if (!welcome || document.visibilityState !== 'visible') return;
    const agent = welcome.agent;
    /** @type {{conversation: string, click: string} | null} */
    let mine = null;
    await update('route', (route) => {
      if (!route || Date.now() - route.at > ROUTE_HOLDS) return undefined;
      if (route.agent !== agent) return route;
      mine = route;
      return undefined;
    });
    if (mine) followClick(/** @type {any} */ (mine));
  }

  /** @param {{conversation: string, click: string}} c it comes by message and by storage, whichever arrives */
  function followClick({ conversation, click }) {
    if (click === lastClick) return;
    lastClick = click;
    open(conversation);
  }

  /** @param {boolean} on */
  function setDuty(on) {
    onDuty = on;
    call('onDuty', on, !!welcome?.duty);
  }

  /** Notices a change of permission, whoever made it. */
  function lookAtPermission() {
    const now = permission();
    if (now !== knownPermission) {
      knownPermission = now;
      claim();
      tellSettings();
      if (now === 'granted') void mend();
    }
    return now;
  }

  function helloSays() {
    const says = { state: presence.toldNow(), permission: permission() };
    saidHello = JSON.stringify(says);
    return says;
  }

  function claim() {
    socket.claim({ type: 'state', state: presence.toldNow(), permission: permission() });
  }

  function tellSettings() {
    if (!settings || !welcome) return;
    call('onSettings', { ...settings, device: { ...settings.device, permission: permission() } }, /** @type {Self} */ (self()));
  }

  /** @returns {Self | null} */
  function self() {
    return welcome && { agent: welcome.agent, name: welcome.name, device: welcome.device.id, code: welcome.code, onDuty, mayDuty: welcome.duty };
  }

  /**
   * Renews the token in band before it ends.
   * @param {number} expires Unix seconds
   */
  function renewToken(expires) {
    clearTimeout(renewing);
    const left = expires * 1000 - Date.now();
    // Never, or this device's clock is wrong: then the hub's close asks for the next.
    if (left <= 0) return;
    const wait = Math.max(5_000, left - 120_000, left * 0.7);
    renewing = setTimeout(async () => {
      if (wait > MAX_TIMER) return renewToken(expires);
      try {
        socket.send({ type: 'refresh', token: await options.token(), version: shown.whole });
      } catch {
        if (!signal.aborted) renewing = setTimeout(() => renewToken(expires), 5_000);
      }
    }, Math.min(wait, MAX_TIMER));
  }

  /**
   * @param {State} s
   * @param {StateInfo} info
   */
  function setState(s, info) {
    if (s === state && s === 'online') return;
    state = s;
    if (s === 'logged_out') forgetLogin();
    if (!'connecting online waiting'.includes(s)) stop();
    call('onState', s, info);
  }

  function forgetLogin() {
    if (!welcome) return;
    if (options.badge !== false) void badgeCount(welcome.agent, null);
    void closeNotifications(() => true, Infinity);
  }

  function stop() {
    life.abort();
    if (page.caacClient === client) delete page.caacClient;
    clearTimeout(refreshing);
    clearTimeout(renewing);
    clearInterval(watching);
    presence.stop();
    title?.stop();
    void favicon?.then((f) => f.stop(), () => {});
    toasts?.stop();
    void sound?.then((s) => s.stop(), () => {});
  }

  /** @param {MessageEvent} e */
  function onWorker(e) {
    const m = e.data ?? {};
    switch (m.type) {
      case 'caac-who':
        return e.ports[0]?.postMessage({ agent: welcome?.agent });
      case 'caac-open': {
        const go = () => {
          if (m.agent && m.agent !== welcome?.agent) return;
          void update('route', () => undefined);
          followClick(m);
        };
        return welcome ? go() : void whenWelcome.push(go);
      }
      case 'caac-push':
        // The worker knows other logins' newest, this page its own.
        return showBadge();
      case 'caac-test':
        return void pushTests?.shown(m.id);
    }
  }

  /** @param {PageTransitionEvent} e */
  function onPageHide(e) {
    if (!e.persisted) socket.send({ type: 'bye' });
  }

  navigator.serviceWorker?.addEventListener('message', onWorker, { signal });
  navigator.serviceWorker?.startMessages();
  addEventListener('pagehide', onPageHide, { signal });
  let deviceId = device()?.id;
  watchDevice(signal, () => {
    if (deviceId && device()?.id !== deviceId && welcome?.device.id !== device()?.id) socket.renew();
    deviceId = device()?.id;
  });
  navigator.permissions?.query({ name: 'notifications' }).then((status) => {
    status.addEventListener('change', lookAtPermission, { signal });
  }, () => {});
  // Not every browser reports the change.
  const watching = setInterval(lookAtPermission, 5_000);
  registerWorker();
  if (soundOn()) loadSound().catch(() => {});

  const client = {
    /** The state of the connection. */
    get state() {
      return state;
    },
    /** Who the hub says this is; null before the first welcome. */
    get self() {
      return self();
    },
    /**
     * The page now shows this conversation, or none.
     * @param {string | null} conversation
     */
    viewing(conversation) {
      presence.view(conversation);
    },
    /**
     * The agent has read a conversation up to this message.
     * @param {string} conversation
     * @param {number} upto seq
     */
    read(conversation, upto) {
      if (!Number.isSafeInteger(upto)) throw new TypeError(`read: upto is ${upto}, allowed is a seq`);
      if (upto < 1) return;
      upto = Math.max(upto, reads.get(conversation) ?? 0);
      reads.delete(conversation);
      reads.set(conversation, upto);
      if (reads.size > MAX_READS) reads.delete(/** @type {string} */ (reads.keys().next().value));
      socket.send({ type: 'read', conversation, upto });
    },
    /**
     * Sets the agent's own duty, where the hub lets pages do so.
     * @param {boolean} on
     * @returns {boolean} false: not connected or not allowed
     */
    duty(on) {
      return !!welcome?.duty && socket.send({ type: 'duty', on_duty: on });
    },
    /**
     * Asks for permission and subscribes this device. Call it inside the user's click.
     * @returns {Promise<PushResult>}
     */
    enablePush() {
      const enabled = push.enable({
        worker,
        vapid: async () => welcome?.vapid ?? (await api('GET', 'v1/vapid')),
        api,
        asked: lookAtPermission,
      });
      subscribing = Promise.allSettled([subscribing, enabled]);
      return enabled.then((result) => {
        if (result.ok) refresh(true);
        return result;
      });
    },
    /** Ends push on this device; permission stays. */
    async disablePush() {
      await push.disable(await registration, api);
      refresh(true);
    },
    /**
     * This device's status switch.
     * @param {boolean} on
     */
    async deviceSwitch(on) {
      await api('PATCH', 'v1/device', { on });
      refresh(true);
    },
    /**
     * The agent's preferences, on all devices. Absent members stay.
     * @param {{notifications?: boolean, preview?: 'full' | 'sender' | 'none', locale?: string}} change
     */
    async preferences(change) {
      await api('PATCH', 'v1/me/preferences', change);
      refresh(true);
    },
    /** Whether toasts sound on this device. */
    get soundOn() {
      return soundOn();
    },
    /**
     * Turns the sound of toasts on or off, for this device. Call it inside the
     * user's click: it sounds once, and only then may later ones.
     * @param {boolean} on
     * @returns {Promise<boolean>} whether it was heard
     */
    sound(on) {
      keep(SOUND, on);
      return playSound();
    },
    /** @returns {Promise<TestResult>} */
    async deviceTest() {
      const { deviceTest } = await import('./profile.js');
      return deviceTest(notify, registration, welcome?.agent ?? '', settings?.locale || navigator.language);
    },
    /**
     * Waits for a subscription that is under way, 10 s at most.
     * @returns {Promise<PushTestResult>} rejects with HubError if the hub refuses the test
     */
    async pushTest() {
      const { createPushTests } = await import('./profile.js');
      await within(SUBSCRIBING_HOLDS, subscribing, '').catch(() => {});
      pushTests ??= createPushTests(api);
      return pushTests.run();
    },
    /**
     * The devices the agent is logged in on.
     * @returns {Promise<Login[]>}
     */
    async devices() {
      return (await api('GET', 'v1/me/devices')).logins;
    },
    /**
     * Ends the agent's login on a device.
     * @param {string} id
     */
    async forget(id) {
      await api('DELETE', `v1/me/devices/${encodeURIComponent(id)}`);
    },
    /** Ends this login. */
    async logout() {
      try {
        await api('POST', 'v1/logout');
      } catch (e) {
        if (!socket.send({ type: 'bye', logout: true })) throw e;
      }
      forgetLogin();
      socket.close();
    },
    /** Leaves; the login stays, and push reaches it. */
    close() {
      socket.close({ type: 'bye' });
    },
  };
  page.caacClient = client;
  socket.open();
  return client;
}
