/**
 * "My profile": notifications, tests and devices.
 * @module
 */
/** @import {Client} from '../sdk/index.js' */
/** @import {Login, PushResult, Self, Settings} from '../sdk/types.js' */
/** @import {Tested} from './checks.js' */
/** @import {Key} from './strings.js' */
// The SDK loads its tests when they are asked for; here they are to be there without the hub, too.
import '../sdk/profile.js';
import { byId, el, once } from './common.js';
import { look, needs, reopening, shareButton } from './platform.js';
import { deviceTestWords, enableWords, errorWords, pushTestWords } from './results.js';
import { ago, fixedLanguage, maybe, t } from './strings.js';

const PROMPT_UNSEEN = 3_000;
const SAID_FOR = 8_000;
const RENEWED_WITHIN = 5_000;
const DEVICES_EVERY = 5_000;

/** @param {string} id */
const box = (id) => /** @type {HTMLInputElement} */ (byId(id));

/** The permission, or that there can be none. */
export const permission = () => (look().push ? Notification.permission : 'unsupported');

/** How blocked notifications are allowed again here. */
const reopenWords = () => t(`reopen.${reopening(look())}`);

/** What this platform needs before it can notify, as nodes; none where it needs nothing. */
function homeWords() {
  const p = look();
  const version = p.version.join('.');
  /** @param {...Key} keys */
  const steps = (...keys) => el('ol.steps', {}, ...keys.map((k) => el('li', {}, t(k))));
  switch (needs(p)) {
    case 'old':
      return [el('h3', {}, t('home.old_title')), el('p', {}, t('home.old', { version }))];
    case 'in_app':
      return [el('h3', {}, t('home.title')), el('p', {}, t('home.ios')), el('p', {}, t('home.in_app'))];
    case 'home':
      return [el('h3', {}, t('home.title')), el('p', {}, t('home.ios')),
        steps(`home.share.${shareButton(p)}`, 'home.ios_2', 'home.ios_3', 'home.ios_4', 'home.ios_5', 'home.ios_6')];
    case 'switches': {
      const from = (p.version[0] ?? 17) >= 17;
      /** @param {Key} key @param {boolean} yours */
      const menu = (key, yours) => el('li', {}, t(key), yours && version ? el('b', {}, ` (${t('home.yours', { version })})`) : null);
      const menus = [menu('home.switches_from', from), menu('home.switches_below', !from)];
      return [el('h3', {}, t('home.switches_title')), el('p', {}, t('home.switches')),
        el('ul.steps', {}, ...(from ? menus : menus.reverse())), el('p', {}, t('home.switches_names'))];
    }
    case 'android':
      return [el('h3', {}, t('home.android_title')),
        p.standalone ? steps('home.android_1', 'home.android_2', 'home.android_3', 'home.android_5')
          : steps('home.android_1', 'home.android_2', 'home.android_3', 'home.android_4', 'home.android_5')];
    default:
      return [];
  }
}

/** This browser's subscription as the hub names it: SHA-256 of its endpoint. */
async function subscriptionHash() {
  const registration = await navigator.serviceWorker.getRegistration();
  const subscription = await registration?.pushManager.getSubscription();
  if (!subscription) return undefined;
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(subscription.endpoint));
  return [...new Uint8Array(hash)].map((b) => b.toString(16).padStart(2, '0')).join('');
}

/**
 * @param {Client} client
 * @param {{checkAgain: () => void, open: () => void}} app
 */
export function profile(client, app) {
  /** @type {Settings | null} */
  let settings = null;
  /** @type {Self | null} */
  let self = null;
  let enabling = false;
  /** @type {PushResult | null} */
  let enabled = null;
  /** @type {Tested | null} */
  let tested = null;
  /** @type {any} Chromium's offer to install the app */
  let offer = null;
  let listed = ''; // the devices, as last shown
  let toldLocale = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let saying;
  /** @type {'' | 'waited for' | 'due'} of the subscription */
  let renewal = '';
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let renewing;
  /** @type {Set<string>} controls whose newest value is on its way */
  const setting = new Set();

  function show() {
    const focused = document.activeElement;
    const p = look();
    // Where all is set up, an Android phone needs no advice.
    const done = p.system === 'android' && p.standalone && settings?.device.subscribed;
    const home = done ? [] : homeWords();
    byId('home').replaceChildren(...home);
    byId('home').hidden = home.length === 0;
    byId('install').hidden = !offer;
    if (!settings) return;
    const { device: d, notifications, preview } = settings;
    const is = permission();
    byId('permission-words').textContent = maybe(`state.${is}`, is);
    byId('permission-words').className = `state ${is}`;
    byId('reopen').hidden = is !== 'denied';
    byId('reopen').textContent = reopenWords();
    byId('push-words').textContent = d.subscribed && is === 'granted' ? t('push.on') : is !== 'granted' ? '' : t(enabling ? 'push.turning' : 'push.off');
    watchRenewal(d.resubscribe);
    showBanner(is);
    byId('grant').hidden = is === 'denied' || is === 'unsupported' || (is === 'granted' && d.subscribed && renewal !== 'due');
    byId('grant').textContent = t(is !== 'granted' ? 'grant' : d.subscribed ? 'grant.renew' : 'grant.push');
    byId('push-off').hidden = !d.subscribed;
    if (!setting.has('device-on')) box('device-on').checked = d.on;
    if (!setting.has('notifications')) box('notifications').checked = notifications;
    if (!setting.has('preview')) box('preview').value = preview;
    if (!setting.has('locale')) box('locale').value = fixedLanguage();
    // What has done its work is gone; the focus is to be somewhere.
    if (focused?.matches('#grant, #push-off, #banner-grant') && !focused.checkVisibility()) {
      const next = ['grant', 'device-test', 'main'].map((id) => byId(id)).find((e) => e.checkVisibility());
      next?.focus();
    }
    app.checkAgain();
  }

  /**
   * Most browsers renew a subscription by themselves. One that has not done so
   * after a while wants a tap.
   * @param {boolean | undefined} resubscribe
   */
  function watchRenewal(resubscribe) {
    if (!resubscribe) {
      clearTimeout(renewing);
      renewal = '';
    } else if (!renewal) {
      renewal = 'waited for';
      renewing = setTimeout(() => {
        renewal = 'due';
        show();
      }, RENEWED_WITHIN);
    }
  }

  /** Asks of itself for what is missing. @param {string} is the permission */
  function showBanner(is) {
    const need = is === 'unsupported' ? needs(look()) : '';
    const renew = is === 'granted' && renewal === 'due';
    const text = need ? 'banner.home' : renew ? 'banner.renew' : 'banner.text';
    byId('banner').hidden = is !== 'default' && !need && !renew;
    byId('banner').classList.toggle('home', !!need);
    byId('banner-text').setAttribute('data-t', text);
    byId('banner-text').textContent = t(text);
    byId('banner-grant').hidden = !!need;
    byId('banner-grant').setAttribute('data-t', renew ? 'grant.renew' : 'grant');
    byId('banner-grant').textContent = t(renew ? 'grant.renew' : 'grant');
    byId('banner-how').hidden = !need;
  }
  byId('banner-how').addEventListener('click', app.open);

  /** @param {string} text @param {boolean} bad */
  function say(text, bad) {
    const said = byId('enable-result');
    said.hidden = !text;
    said.className = bad ? 'notice bad' : 'notice';
    said.textContent = text;
    clearTimeout(saying);
    // What went well stands in words elsewhere; what did not stays until it is tried again.
    if (text && !bad && permission() === 'granted') saying = setTimeout(say, SAID_FOR, '', false);
  }

  /** @param {boolean} on */
  function grantable(on) {
    for (const b of document.querySelectorAll('button.grant')) b.ariaDisabled = on ? null : 'true';
  }

  /** Asks for permission where it is open, and subscribes. Inside the person's click. */
  async function enable() {
    enabling = true;
    const renew = settings?.device.subscribed && settings.device.resubscribe;
    grantable(false);
    say('', false);
    // Some browsers ask so quietly that the question is overlooked, and wait for good.
    const unseen = setTimeout(() => {
      if (permission() !== 'default') return;
      say(t(look().browser === 'firefox' ? 'enable.asking.firefox' : 'enable.asking'), false);
      grantable(true);
    }, PROMPT_UNSEEN);
    try {
      // What waits for a subscription is not to wait for a question nobody sees.
      if (permission() === 'default') await Notification.requestPermission();
      enabled = permission() === 'default' ? { ok: false, side: 'permission', reason: 'dismissed', detail: '' } : await client.enablePush();
    } catch (e) {
      enabled = { ok: false, side: 'browser', reason: 'failed', detail: e instanceof Error ? e.message : String(e) };
    }
    clearTimeout(unseen);
    enabling = false;
    grantable(true);
    const reopen = enabled.reason === 'denied' || enabled.reason === 'dismissed' ? ` ${reopenWords()}` : '';
    say(enabled.ok && renew ? t('push.renewed') : enableWords(enabled) + reopen, !enabled.ok);
    show();
    return enabled;
  }
  for (const button of document.querySelectorAll('button.grant')) button.addEventListener('click', () => void (button.ariaDisabled || enable()));

  /**
   * Does what a control asks for and says so if it fails.
   * @param {() => Promise<unknown>} work
   * @returns {Promise<boolean>} whether it was done
   */
  async function change(work) {
    try {
      await work();
      say('', false);
      return true;
    } catch (e) {
      say(errorWords(e), true);
      show();
      return false;
    }
  }

  /**
   * Tells the hub of a control's newest value; while one is on its way, only the
   * newest follows it.
   * @param {string} id of the control
   * @param {() => Promise<unknown>} send what the control says now
   */
  function follow(id, send) {
    let again = false;
    byId(id).addEventListener('change', async () => {
      again = true;
      if (setting.has(id)) return;
      setting.add(id);
      let done = true;
      while (again && done) {
        again = false;
        done = await change(send);
      }
      again = false;
      setting.delete(id);
      // Where it succeeded the hub's settings say so by themselves.
      if (!done) show();
    });
  }
  follow('device-on', () => client.deviceSwitch(box('device-on').checked));
  follow('notifications', () => client.preferences({ notifications: box('notifications').checked }));
  follow('preview', () => client.preferences({ preview: /** @type {any} */ (box('preview').value) }));
  follow('locale', () => client.preferences({ locale: box('locale').value }));
  byId('push-off').addEventListener('click', () => once(byId('push-off'), () => change(() => client.disablePush())));

  /**
   * @param {string} id of the button
   * @param {string} meanwhile
   * @param {() => Promise<string>} run
   */
  const test = (id, meanwhile, run) => once(byId(id), async () => {
    const said = byId('test-result');
    said.textContent = meanwhile;
    said.textContent = await run().catch(errorWords);
  });

  async function pushTest() {
    tested = { of: settings?.device.endpoint, at: Date.now() };
    app.checkAgain();
    try {
      const result = await client.pushTest();
      // The hub may not yet have told of the subscription it went to.
      tested = { of: await subscriptionHash(), at: Date.now(), result };
      return result;
    } catch (error) {
      tested = { of: settings?.device.endpoint, at: Date.now(), error };
      throw error;
    } finally {
      app.checkAgain();
    }
  }
  byId('device-test').addEventListener('click', () => test('device-test', t('test.showing'), () => client.deviceTest().then(deviceTestWords)));
  byId('push-test').addEventListener('click', () => test('push-test', t('test.sending'), async () => pushTestWords(await pushTest())));

  addEventListener('beforeinstallprompt', (e) => {
    e.preventDefault();
    offer = e;
    byId('install').hidden = false;
  });
  addEventListener('appinstalled', () => {
    offer = null;
    byId('install').hidden = true;
  });
  byId('install').addEventListener('click', () => {
    // An offer can be taken or left once.
    void offer?.prompt();
    offer = null;
    byId('install').hidden = true;
  });

  /** @param {Login} d */
  function deviceRow(d) {
    const label = deviceLabel(d.label) || d.code;
    const forget = el('button', { type: 'button', ariaLabel: t('profile.forget_label', { device: `${label} ${d.code}` }) }, t('profile.forget'));
    forget.addEventListener('click', () => once(forget, async () => {
      await change(() => client.forget(d.device));
      await showDevices();
    }));
    return el('li', {}, el('span.grow', {}, el('b', {}, label), ' ', el('code', {}, d.code), el('span.soft', {}, deviceFacts(d).join(' · '))), forget);
  }

  /** The SDK's words for a device, in the agent's language. @param {string} label */
  function deviceLabel(label) {
    const [, browser, system] = /^(\w+) on (\w+)$/.exec(label) ?? [];
    return system ? t('device.label', { browser, system }) : label;
  }

  /** @param {Login} d */
  function deviceFacts({ current, presence, seen, settings: s }) {
    return [
      current && t('profile.current'),
      presence === 'closed' ? t('device.seen', { ago: ago(Date.parse(seen)) }) : maybe(`presence.${presence}`, presence),
      s.permission === 'granted' ? t(s.subscribed ? 'device.push' : 'device.no_push') : t('device.not_granted'),
      !s.on && t('device.off'),
    ].filter((fact) => typeof fact === 'string');
  }

  async function showDevices() {
    const rows = byId('devices');
    try {
      const devices = await client.devices();
      const now = JSON.stringify([document.documentElement.lang, devices.map((d) => [d.device, d.label, deviceFacts(d)])]);
      if (now === listed) return;
      const focused = [...rows.querySelectorAll('button')].indexOf(/** @type {any} */ (document.activeElement));
      rows.replaceChildren(...devices.map(deviceRow));
      listed = now;
      if (focused >= 0) rows.querySelectorAll('button')[Math.min(focused, devices.length - 1)]?.focus();
    } catch (e) {
      // What was listed before stays; it is asked for again.
      if (!listed) rows.replaceChildren(el('li.bad', {}, errorWords(e)));
    }
  }
  setInterval(() => {
    if (!byId('profile').hidden && document.visibilityState === 'visible' && client.state === 'online') void showDevices();
  }, DEVICES_EVERY);

  return {
    /**
     * @param {Settings} s
     * @param {Self} me
     */
    settings(s, me) {
      settings = s;
      self = me;
      byId('code').textContent = byId('check-code').textContent = me.code;
      if (!s.locale && !toldLocale && fixedLanguage() !== 'en') {
        // Nobody has said a language: notifications take the app's.
        toldLocale = true;
        void client.preferences({ locale: fixedLanguage() }).catch(() => {});
      }
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
      say('', false);
      if (!byId('profile').hidden) void showDevices();
    },
    enable,
    pushTest,
    change,
    /** This device's id. */
    device: () => self?.device ?? '',
    /** What Check this device is told. */
    known: () => ({ settings, test: tested, enabled, code: byId('code').textContent ?? '' }),
  };
}
