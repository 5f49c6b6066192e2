/**
 * "My profile": notifications, tests and devices.
 * @module
 */
/** @import {Client} from '../sdk/index.js' */
/** @import {Login, PushResult, PushTestResult, Self, Settings} from '../sdk/types.js' */
import { byId, el } from './common.js';
import { look, needs } from './platform.js';
import { deviceTestWords, enableWords, pushTestWords } from './results.js';
import { maybe, t } from './strings.js';

/** @param {string} id */
const box = (id) => /** @type {HTMLInputElement} */ (byId(id));

/** The permission, or that there can be none. */
export const permission = () => (look().push ? Notification.permission : 'unsupported');

/** How blocked notifications are allowed again here. */
function reopenWords() {
  const p = look();
  if (p.system === 'ios') return t('reopen.ios');
  if (p.system === 'android') return t('reopen.android');
  return t(p.standalone ? 'reopen.app' : 'reopen.desktop');
}

/** What this platform needs before it can notify, as nodes; none where it needs nothing. */
function homeWords() {
  const p = look();
  const version = p.version.join('.');
  /** @param {...import('./strings.js').Key} keys */
  const steps = (...keys) => el('ol.steps', {}, ...keys.map((k) => el('li', {}, t(k))));
  switch (needs(p)) {
    case 'old':
      return [el('h3', {}, t('home.old_title')), el('p', {}, t('home.old', { version }))];
    case 'home':
      return [el('h3', {}, t('home.title')), el('p', {}, t('home.ios')),
        steps('home.ios_1', 'home.ios_2', 'home.ios_3', 'home.ios_4', 'home.ios_5', 'home.ios_6')];
    case 'switches': {
      const from = (p.version[0] ?? 17) >= 17;
      /** @param {import('./strings.js').Key} key @param {boolean} yours */
      const menu = (key, yours) => el('li', {}, t(key), yours && version ? el('b', {}, ` (${t('home.yours', { version })})`) : null);
      const menus = [menu('home.switches_from', from), menu('home.switches_below', !from)];
      return [el('h3', {}, t('home.switches_title')), el('p', {}, t('home.switches')),
        el('ul.steps', {}, ...(from ? menus : menus.reverse())), el('p', {}, t('home.switches_names'))];
    }
    case 'android':
      return [el('h3', {}, t('home.android_title')),
        p.standalone ? steps('home.android_1', 'home.android_2', 'home.android_3') : steps('home.android_1', 'home.android_2', 'home.android_3', 'home.android_4')];
    default:
      return [];
  }
}

/**
 * @param {Client} client
 * @param {{checkAgain: () => void}} app
 */
export function profile(client, app) {
  /** @type {Settings | null} */
  let settings = null;
  let device = '';
  let enabling = false;
  /** @type {PushTestResult | null} */
  let tested = null;
  /** @type {any} Chromium's offer to install the app */
  let offer = null;

  function show() {
    // Where all is set up, an Android phone needs no advice.
    const done = look().system === 'android' && look().standalone && settings?.device.subscribed;
    const home = done ? [] : homeWords();
    byId('home').replaceChildren(...home);
    byId('home').hidden = home.length === 0;
    byId('install').hidden = !offer;
    if (!settings) return;
    const { device: d, notifications, preview, locale } = settings;
    const is = permission();
    byId('permission-words').textContent = maybe(`state.${is}`, is);
    byId('permission-words').className = `state ${is}`;
    byId('reopen').hidden = is !== 'denied';
    byId('reopen').textContent = reopenWords();
    byId('push-words').textContent = d.subscribed ? t('push.on') : enabling ? t('push.turning') : is === 'granted' ? t('push.off') : '';
    byId('banner').hidden = is !== 'default';
    byId('grant').hidden = is === 'denied' || is === 'unsupported' || (is === 'granted' && d.subscribed);
    byId('grant').textContent = t(is === 'granted' ? 'grant.push' : 'grant');
    byId('push-off').hidden = !d.subscribed;
    box('device-on').checked = d.on;
    box('notifications').checked = notifications;
    box('preview').value = preview;
    box('locale').value = locale || 'en';
    app.checkAgain();
  }

  /** @param {PushResult} result */
  function showEnabled(result) {
    const said = byId('enable-result');
    said.hidden = false;
    said.className = result.ok ? 'notice' : 'notice bad';
    said.textContent = enableWords(result) + (result.reason === 'denied' ? ` ${reopenWords()}` : '');
  }

  /** Asks for permission where it is open, and subscribes. Inside the person's click. */
  async function enable() {
    enabling = true;
    for (const b of document.querySelectorAll('button.grant')) /** @type {HTMLButtonElement} */ (b).disabled = true;
    try {
      const result = await client.enablePush();
      showEnabled(result);
      return result;
    } finally {
      enabling = false;
      for (const b of document.querySelectorAll('button.grant')) /** @type {HTMLButtonElement} */ (b).disabled = false;
      show();
    }
  }
  for (const button of document.querySelectorAll('button.grant')) button.addEventListener('click', enable);

  /**
   * Does what a control asks for and says so if it fails.
   * @param {() => Promise<unknown>} work
   */
  async function change(work) {
    const failed = byId('settings-result');
    try {
      await work();
      failed.hidden = true;
    } catch (e) {
      failed.textContent = e instanceof Error ? e.message : String(e);
      failed.hidden = false;
      show();
    }
  }
  byId('push-off').addEventListener('click', () => change(() => client.disablePush()));
  byId('device-on').addEventListener('change', () => change(() => client.deviceSwitch(box('device-on').checked)));
  byId('notifications').addEventListener('change', () => change(() => client.preferences({ notifications: box('notifications').checked })));
  byId('preview').addEventListener('change', () => change(() => client.preferences({ preview: /** @type {any} */ (box('preview').value) })));
  byId('locale').addEventListener('change', () => change(() => client.preferences({ locale: box('locale').value })));

  /**
   * @param {string} id of the button
   * @param {string} result of where its result stands
   * @param {() => string} meanwhile
   * @param {() => Promise<string>} run
   */
  async function test(id, result, meanwhile, run) {
    const button = /** @type {HTMLButtonElement} */ (byId(id));
    const said = byId(result);
    button.disabled = true;
    said.textContent = meanwhile();
    try {
      said.textContent = await run();
    } catch (e) {
      said.textContent = e instanceof Error ? e.message : String(e);
    } finally {
      button.disabled = false;
    }
  }

  async function pushTest() {
    tested = await client.pushTest();
    app.checkAgain();
    return pushTestWords(tested);
  }
  byId('device-test').addEventListener('click', () => test('device-test', 'test-result', () => t('test.showing'), async () => deviceTestWords(await client.deviceTest())));
  byId('push-test').addEventListener('click', () => test('push-test', 'test-result', () => t('test.sending'), pushTest));

  addEventListener('beforeinstallprompt', (e) => {
    e.preventDefault();
    offer = e;
    byId('install').hidden = false;
  });
  addEventListener('appinstalled', () => {
    offer = null;
    byId('install').hidden = true;
  });
  byId('install').addEventListener('click', () => offer?.prompt());

  /** @param {Login} d */
  function deviceRow(d) {
    const s = d.settings;
    const label = d.label || d.code;
    const forget = el('button', { type: 'button', ariaLabel: t('profile.forget_label', { device: `${label} ${d.code}` }) }, t('profile.forget'));
    forget.addEventListener('click', () => change(async () => {
      await client.forget(d.device);
      await showDevices();
    }));
    const facts = [d.current && t('profile.current'), maybe(`presence.${d.presence}`, d.presence),
      s.permission === 'granted' ? t(s.subscribed ? 'device.push' : 'device.no_push') : t('device.not_granted'), !s.on && t('device.off')];
    return el('li', {}, el('span.grow', {}, el('b', {}, label), ' ', el('code', {}, d.code), el('span.soft', {}, facts.filter(Boolean).join(' · '))), forget);
  }

  async function showDevices() {
    const list = byId('devices');
    try {
      list.replaceChildren(...(await client.devices()).map(deviceRow));
    } catch (e) {
      list.replaceChildren(el('li.bad', {}, e instanceof Error ? e.message : String(e)));
    }
  }

  return {
    /**
     * @param {Settings} s
     * @param {Self} self
     */
    settings(s, self) {
      settings = s;
      device = self.device;
      byId('code').textContent = byId('check-code').textContent = self.code;
      show();
      if (!byId('profile').hidden) void showDevices();
    },
    opened() {
      show();
      void showDevices();
    },
    retell() {
      show();
      byId('test-result').textContent = '';
      byId('enable-result').hidden = true;
      if (!byId('profile').hidden) void showDevices();
    },
    enable,
    pushTest,
    /** Runs work and shows what comes of it. */
    test,
    change,
    /** This device's id. */
    device: () => device,
    /** What Check this device is told. */
    known: () => ({ settings, test: tested, code: byId('code').textContent ?? '' }),
  };
}
