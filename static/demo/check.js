/**
 * "Check this device": the troubleshooting steps as live checks, the supported
 * devices, and what is left when nothing helps.
 * @module
 */
/** @import {Client} from '../sdk/index.js' */
/** @import {Action, Check, Facts} from './checks.js' */
/** @import {Key} from './strings.js' */
import { checks } from './checks.js';
import { byId, el } from './common.js';
import { look, model } from './platform.js';
import { permission } from './profile.js';
import { setUpAgain } from './setup.js';
import { en } from './strings-en.js';
import { t } from './strings.js';

/** @typedef {ReturnType<typeof import('./profile.js').profile>} Profile */

const PING_WITHIN = 5_000;

/** @type {Record<Action, Key>} */
const ACTIONS = {
  grant: 'grant', profile: 'check.go_profile', duty: 'check.go_duty', notify: 'check.go_notify', switch: 'check.go_switch',
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
 * @param {{onDuty: () => boolean, go: (view: 'profile') => void}} app
 */
export function check(client, profile, app) {
  /** @type {number | null | undefined} */
  let ping;
  let subscription = false;
  let device = '';
  let open = false;
  model().then((m) => {
    device = m;
  }, () => {});

  /** @returns {Facts} */
  function facts() {
    const { settings, test } = profile.known();
    return {
      platform: look(), permission: permission(), settings, subscription, test, ping, model: device,
      onDuty: app.onDuty(), mayDuty: client.self?.mayDuty ?? false, online: client.state === 'online' && navigator.onLine,
    };
  }

  async function measure() {
    const begun = performance.now();
    const abort = AbortSignal.timeout(PING_WITHIN);
    ping = await fetch('/livez', { cache: 'no-store', signal: abort }).then((r) => (r.ok ? Math.max(1, Math.round(performance.now() - begun)) : null), () => null);
    const registration = await navigator.serviceWorker?.getRegistration().catch(() => undefined);
    subscription = !!(await registration?.pushManager?.getSubscription().catch(() => null));
    show();
  }

  /** @type {Record<Action, (button: HTMLButtonElement) => unknown>} */
  const act = {
    grant: () => profile.enable().then(measure),
    profile: () => app.go('profile'),
    duty: () => client.duty(true),
    notify: () => profile.change(() => client.preferences({ notifications: true })),
    switch: () => profile.change(() => client.deviceSwitch(true)),
    push_test: (button) => {
      button.disabled = true;
      return profile.pushTest().catch(() => {}).finally(show);
    },
    again: measure,
    guide: () => window.open(guide(), '_blank', 'noopener'),
  };
  const guide = () => /** @type {HTMLMetaElement} */ (document.querySelector('meta[name="caac:miui-guide"]')).content;

  /** @param {Check} c */
  function row(c) {
    const button = c.action && el('button', { type: 'button' }, t(ACTIONS[c.action]));
    button?.addEventListener('click', () => act[/** @type {Action} */ (c.action)](/** @type {HTMLButtonElement} */ (button)));
    button?.setAttribute('data-action', c.action ?? '');
    const li = el(`li.${c.state}`, {},
      el('span.mark', { ariaHidden: 'true' }, { passed: '✓', failed: '!', unknown: '?' }[c.state]),
      el('div.grow', {},
        el('h2', {}, t(c.title), ' ', el('span.verdict', {}, t(`check.${c.state}`))),
        el('p', {}, t(c.words, c.values)),
        c.next && el('p.next', {}, t(c.next))),
      button);
    li.dataset.check = c.id;
    li.title = t('check.step', { n: c.step });
    return li;
  }

  function show() {
    if (!open) return;
    const all = checks(facts());
    const n = (/** @type {string} */ state) => all.filter((c) => c.state === state).length;
    const summary = t('check.summary', { failed: n('failed'), passed: n('passed'), unknown: n('unknown') });
    if (byId('summary').textContent !== summary) byId('summary').textContent = summary;
    const focused = document.activeElement?.closest('#checks li')?.getAttribute('data-check');
    byId('checks').replaceChildren(...all.map(row));
    if (focused) /** @type {HTMLElement | null} */ (byId('checks').querySelector(`[data-check="${focused}"] button`))?.focus();
    for (const s of document.querySelectorAll('.step[data-step]')) s.textContent = t('check.step', { n: s.getAttribute('data-step') ?? '' });
    showTable();
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
    const plain = (/** @type {Key} */ key, values = {}) => en[key].replace(/\{(\w+)\}/g, (_, name) => String(/** @type {any} */ (values)[name] ?? ''));
    return [
      `CAAC device report, device code ${profile.known().code}`,
      `At ${new Date().toISOString()}, ${Intl.DateTimeFormat().resolvedOptions().timeZone}, language ${navigator.language}`,
      `Browser: ${navigator.userAgent}`,
      `Opened as: ${f.platform.standalone ? 'app' : 'tab'}; permission ${f.permission}; connection ${client.state}`,
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
  addEventListener('online', () => open && measure());
  addEventListener('offline', () => open && measure());

  return {
    opened() {
      open = true;
      show();
      void measure();
    },
    closed() {
      open = false;
    },
    /** Something that is checked may have changed. */
    again() {
      goOn();
      if (open) void measure();
    },
    retell: show,
  };
}
