/**
 * "Check this device": the troubleshooting steps as live checks, the supported
 * devices, and what is left when nothing helps.
 * @module
 */
/** @import {Client} from '../sdk/index.js' */
/** @import {Action, Check, Facts, Values} from './checks.js' */
/** @import {Key} from './strings.js' */
import { checks } from './checks.js';
import { arrange, byId, el, once, request } from './common.js';
import { look, model } from './platform.js';
import { permission } from './profile.js';
import { errorWords } from './results.js';
import { setUpAgain } from './setup.js';
import { en } from './strings-en.js';
import { number, seconds, t, timeOfDay } from './strings.js';

/** @typedef {ReturnType<typeof import('./profile.js').profile>} Profile */

const PING_WITHIN = 5_000;
const EVERY = 3_000;

/** @type {Record<Action, Key>} */
const ACTIONS = {
  grant: 'grant', push: 'grant.push', renew: 'grant.renew', duty: 'check.go_duty', notify: 'check.go_notify', switch: 'check.go_switch',
  push_test: 'profile.push_test', again: 'check.go_again', guide: 'check.go_guide',
};

/** Rows of the supported devices: system, [type, name, firmware, software, notes]. */
/** @type {[string, Key, string, Key | '', Key, Key][]} */
const SUPPORTED = [
  ['mac', 'table.desktop', 'Mac', 'table.mac_firmware', 'table.chrome', 'table.mac_notes'],
  ['windows', 'table.desktop', 'Windows', 'table.windows_firmware', 'table.chrome', 'table.viewed'],
  ['ios', 'table.mobile', 'iPhone', '', 'table.safari', 'table.iphone_notes'],
  ['android', 'table.mobile', 'Android', '', 'table.chrome', 'table.android_notes'],
];

/**
 * @param {Client} client
 * @param {Profile} profile
 * @param {{onDuty: () => boolean}} app
 */
export function check(client, profile, app) {
  /** @type {number | null | undefined} */
  let ping;
  let subscription = false;
  let worker = false;
  let device = '';
  let guide = '';
  let open = false;
  /** @type {Promise<void> | null} the measuring under way */
  let measuring = null;
  model().then((m) => {
    device = m;
  }, () => {});

  /** @returns {Facts} */
  function facts() {
    const { settings, test, enabled } = profile.known();
    return {
      platform: look(), permission: permission(), settings, subscription, test, enabled, ping, model: device, guide: guide !== '',
      onDuty: app.onDuty(), mayDuty: client.self?.mayDuty ?? false, connection: client.state, online: navigator.onLine,
    };
  }

  async function measureOnce() {
    const begun = performance.now();
    const answered = !navigator.onLine ? null : fetch('/livez', { cache: 'no-store', signal: AbortSignal.timeout(PING_WITHIN) })
      .then((r) => (r.ok ? Math.max(1, Math.round(performance.now() - begun)) : null), () => null);
    const registration = await navigator.serviceWorker?.getRegistration().catch(() => undefined);
    worker = !!registration?.active;
    subscription = !!(await registration?.pushManager?.getSubscription().catch(() => null));
    ping = await answered;
    if (!guide && look().system === 'android') guide = await request('GET', '/demo/state').then((s) => s.miui_guide ?? '', () => '');
  }

  async function measure() {
    if (!measuring) {
      measuring = measureOnce().finally(() => {
        measuring = null;
      });
    }
    await measuring;
    show();
  }

  /** @type {Record<Action, () => unknown>} */
  const act = {
    grant: () => profile.enable().then(measure),
    push: () => profile.enable().then(measure),
    renew: () => profile.enable().then(measure),
    duty: () => client.duty(true),
    notify: () => profile.change(() => client.preferences({ notifications: true })),
    switch: () => profile.change(() => client.deviceSwitch(true)),
    push_test: () => profile.pushTest().catch(() => {}),
    again: () => {
      ping = undefined;
      show();
      return measure();
    },
    guide: () => window.open(guide, '_blank', 'noopener'),
  };

  /** @param {Values} [v] */
  const told = (v = {}) => ({
    s: v.seconds === undefined ? '' : seconds(v.seconds),
    ms: v.millis === undefined ? '' : number(v.millis),
    at: v.at === undefined ? '' : timeOfDay(v.at),
    why: v.error === undefined ? '' : errorWords(v.error),
    model: v.text ?? '',
  });

  /** @param {Check} c */
  function row(c) {
    const button = c.action && el('button', { type: 'button' }, t(ACTIONS[c.action]));
    button?.addEventListener('click', () => once(button, act[/** @type {Action} */ (c.action)]));
    button?.setAttribute('data-action', c.action ?? '');
    const li = el(`li.${c.state}`, {},
      el('span.mark', { ariaHidden: 'true' }, { passed: '✓', failed: '!', unknown: '?' }[c.state]),
      el('div.grow', {},
        el('h2', {}, el('span.step', {}, t('check.step', { n: c.step })), ' ', t(c.title), ' ', el('span.verdict', {}, t(`check.${c.state}`))),
        el('p', {}, t(c.words, told(c.values))),
        c.next && el('p.next', {}, t(c.next))),
      button);
    li.dataset.check = c.id;
    return li;
  }

  /** @type {Map<string, {said: string, li: HTMLElement}>} the rows as they stand, by check */
  const rows = new Map();

  /** Puts the rows that changed in place of the old: a button under a finger stays. */
  function showChecks() {
    const all = checks(facts());
    const n = (/** @type {string} */ state) => number(all.filter((c) => c.state === state).length);
    const summary = t('check.summary', { failed: n('failed'), passed: n('passed'), unknown: n('unknown') });
    if (byId('summary').textContent !== summary) byId('summary').textContent = summary;
    const focused = document.activeElement?.closest('#checks li')?.getAttribute('data-check');
    arrange(byId('checks'), all.map((c) => {
      const said = JSON.stringify([document.documentElement.lang, c, told(c.values).why]);
      const before = rows.get(c.id);
      if (before?.said === said) return before.li;
      const li = row(c);
      rows.set(c.id, { said, li });
      return li;
    }));
    if (focused && document.activeElement === document.body) {
      /** @type {HTMLElement | null} */ (byId('checks').querySelector(`[data-check="${focused}"] button`) ?? byId('check-title'))?.focus();
    }
  }

  function show() {
    if (!open) return;
    showChecks();
    for (const s of document.querySelectorAll('.step[data-step]')) s.textContent = t('check.step', { n: s.getAttribute('data-step') ?? '' });
  }

  function showTable() {
    const { system } = look();
    const head = /** @type {Key[]} */ (['table.type', 'table.system', 'table.firmware', 'table.software', 'table.notes']);
    byId('supported').replaceChildren(
      el('thead', {}, el('tr', {}, ...head.map((k) => el('th', { scope: 'col' }, t(k))))),
      el('tbody', {}, ...SUPPORTED.map(([of, type, name, firmware, software, notes]) => {
        const here = of === system;
        const tr = el(here ? 'tr.here' : 'tr', {}, el('td', {}, t(type)),
          el('th', { scope: 'row' }, name, here && el('span.here', {}, t('table.this'))),
          el('td', {}, firmware ? t(firmware) : of === 'ios' ? 'iOS ≥ 16.4' : '–'), el('td', {}, t(software)), el('td', {}, t(notes)));
        if (here) tr.setAttribute('aria-current', 'true');
        return tr;
      })));
  }

  /** The report, in English: support reads it. */
  function report() {
    const f = facts();
    const { code, settings, test } = profile.known();
    /** @param {Key} key @param {Values} [values] */
    const plain = (key, values = {}) => {
      const says = { s: values.seconds, ms: values.millis, at: values.at && new Date(values.at).toISOString(), model: values.text, why: values.error && String(/** @type {any} */ (values.error).code ?? values.error) };
      return en[key].replace(/\{(\w+)\}/g, (_, name) => String(/** @type {any} */ (says)[name] ?? ''));
    };
    return [
      `CAAC device report, device code ${code}`,
      `At ${new Date().toISOString()}, ${Intl.DateTimeFormat().resolvedOptions().timeZone}, language ${navigator.language}`,
      `Browser: ${navigator.userAgent}${device && `; model ${device}`}`,
      `Opened as: ${f.platform.standalone ? 'app' : 'tab'} of ${location.origin}; permission ${f.permission}; service worker ${worker ? 'active' : 'missing'}`,
      `Connection ${client.state}; network ${f.online ? 'there' : 'offline'}; subscription in the browser ${f.subscription ? 'yes' : 'no'}, at the hub ${settings ? (settings.device.subscribed ? 'yes' : 'no') : 'not told'}`,
      ...(test?.result ? [`Last Push test: ${test.result.receivedMillis === null ? (test.result.accepted ? 'accepted, no receipt' : 'not accepted') : `received after ${test.result.receivedMillis} ms`}; would be silenced by: ${test.result.silenced.join(', ') || 'nothing'}`] : []),
      '',
      ...checks(f).map((c) => `[${c.state}] ${c.step}. ${plain(c.title)}: ${plain(c.words, c.values)}`),
    ].join('\n');
  }

  byId('copy-report').addEventListener('click', async () => {
    const text = report();
    const area = /** @type {HTMLTextAreaElement} */ (byId('report'));
    area.value = text;
    area.hidden = false;
    try {
      await navigator.clipboard.writeText(text);
      byId('report-result').textContent = t('report.copied');
    } catch {
      byId('report-result').textContent = t('report.by_hand');
      area.select();
    }
  });

  const goOn = setUpAgain(client, profile);
  const measureSeen = () => {
    if (open && document.visibilityState === 'visible') void measure();
  };
  setInterval(measureSeen, EVERY);
  addEventListener('online', measureSeen);
  addEventListener('offline', measureSeen);
  addEventListener('focus', measureSeen);
  document.addEventListener('visibilitychange', measureSeen);

  return {
    opened() {
      open = true;
      show();
      showTable();
      void measure();
    },
    closed() {
      open = false;
    },
    /** Something that is checked may have changed. */
    again() {
      goOn.again();
      show();
      measureSeen();
    },
    retell() {
      show();
      if (open) showTable();
      goOn.retell();
    },
  };
}
