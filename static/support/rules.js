/**
 * Try the rules: people made up, and what a message would do.
 * @module
 */
/** @import {Tried} from './hub.js' */
import { box, check, el, field, select, soon } from './dom.js';
import { post } from './hub.js';
import { channel, decided, problem, reasonsOf, rows, t } from './words.js';

/** @typedef {{id: string, page: string, permission: string, on: boolean, subscribed: boolean, rang: boolean}} Device */
/** @typedef {{id: string, name: string, duty: boolean, muted: boolean, devices: Device[]}} Person */

const MOST_AGENTS = 50;
const MOST_LOGINS = 20;

let ids = 0;

/** @param {Partial<Device>} [d] @returns {Device} */
const device = (d = {}) => ({ id: `d${++ids}`, page: 'hidden', permission: 'granted', on: true, subscribed: true, rang: false, ...d });

/** @param {string} name @param {Device[]} devices @returns {Person} */
const person = (name, devices) => ({ id: `a${++ids}`, name, duty: true, muted: false, devices });

/** @param {HTMLElement} panel */
export function startRules(panel) {
  const people = [person('Mei', [device({ page: 'hidden' }), device({ page: 'closed' })]), person('Ken', [device({ page: 'active' })])];
  let to = people[0].id;
  const assigned = el('div');
  const wrong = el('p.bad', { role: 'alert', hidden: true });
  const verdict = el('p.verdict', { role: 'status' });
  const list = el('div.try');
  const add = /** @type {HTMLButtonElement} */ (el('button', { type: 'button' }, t('addAgent')));
  const table = el('tbody', {}, ...rows().map(([when, then], i) => el('tr', { 'data-row': String(i + 1) }, el('th', { scope: 'row' }, String(i + 1)), el('td', {}, when), el('td', {}, then))));
  panel.append(
    el('p.soft', {}, t('rulesNote')), el('div.card.ask', {}, assigned, verdict, wrong), list, el('p', {}, add),
    el('section.card', { 'aria-labelledby': 'rows-title' }, el('h2', { id: 'rows-title' }, t('rulesTitle')),
      el('table.rows', {}, el('thead', {}, el('tr', {}, ...['rowNo', 'rowWhen', 'rowThen'].map((c) => el('th', { scope: 'col' }, t(c))))), table)));

  let added = 0;
  let asked = 0;
  const ask = soon(async () => {
    const mine = ++asked;
    try {
      const { decisions } = await post('/v1/rules/try', {
        assignment: to === 'team' ? { team: true } : to === 'nobody' ? {} : { agent: to },
        agents: people.map((p) => ({
          id: p.id, on_duty: p.duty, muted: p.muted,
          logins: p.devices.map((d) => ({
            device: d.id, page: d.page === 'lapsed' ? 'hidden' : d.page, lapsed: d.page === 'lapsed', on: d.on, permission: d.permission, subscribed: d.subscribed, rang: d.rang,
          })),
        })),
      });
      if (mine === asked) show(decisions);
    } catch (e) {
      if (mine !== asked) return;
      wrong.textContent = problem(e);
      wrong.hidden = false;
    }
  }, 80);

  /** @param {Tried[]} decisions */
  function show(decisions) {
    wrong.hidden = true;
    for (const out of list.querySelectorAll('.device .result')) out.replaceChildren(el('span.soft', {}, t('notTold')));
    for (const out of list.querySelectorAll('.person > .result')) out.replaceChildren();
    const on = new Set(decisions.map((d) => String(d.row)));
    for (const row of /** @type {HTMLElement[]} */ ([...table.children])) row.classList.toggle('on', on.has(row.dataset.row ?? ''));
    for (const d of decisions) {
      const out = list.querySelector(`[data-result="${d.device ?? d.agent ?? ''}"]`);
      const notes = [
        d.held && t('wouldHold'), d.waits && t('wouldWait'), d.channel === 'in_app' && !d.reaches && t('wouldBeHidden'),
        d.unconfirmed && (d.reaches || d.channel !== 'in_app') && t('ifUnconfirmed', decided(d.unconfirmed)),
      ];
      out?.replaceChildren(
        el(`span.channel.${d.channel}`, {}, channel(d.channel)), ` – ${decided(d).reason} `, d.row ? el('span.soft.row-no', {}, t('row', { n: d.row })) : '',
        ...notes.filter(Boolean).map((note) => el('span.note.soft', {}, note || '')));
    }
    const reached = people.filter((p) => decisions.some((d) => d.agent === p.id && d.reaches)).map((p) => p.name);
    verdict.className = `verdict ${reached.length ? 'good' : 'wrong'}`;
    const words = reached.length ? t('wouldReach', { names: reached.join(t('and')) }) : t('wouldReachNobody', { causes: reasonsOf(decisions.map((d) => d.reason)) });
    if (verdict.textContent !== words) verdict.textContent = words;
  }

  /** @param {HTMLInputElement | HTMLSelectElement} control @param {() => void} then */
  function on(control, then) {
    control.addEventListener('input', () => {
      then();
      ask();
    });
    return control;
  }

  /** @param {string} [focus] what gets the focus */
  function draw(focus) {
    const options = Object.fromEntries([...people.map((p) => [p.id, p.name]), ['team', t('toTeam')], ['nobody', t('nobody')]]);
    if (!(to in options)) to = 'team';
    const whom = select(options, to);
    on(whom, () => (to = whom.value));
    assigned.replaceChildren(field(t('rulesTo'), whom));
    list.replaceChildren(...people.map(showPerson));
    add.disabled = people.length >= MOST_AGENTS;
    if (focus) (/** @type {HTMLElement | null} */ (list.querySelector(focus)) ?? add).focus();
    ask();
  }

  /** @param {Person} p */
  function showPerson(p) {
    const duty = box(p.duty);
    const muted = box(p.muted);
    on(duty, () => (p.duty = duty.checked));
    on(muted, () => (p.muted = muted.checked));
    const addDevice = /** @type {HTMLButtonElement} */ (el('button', { type: 'button', disabled: p.devices.length >= MOST_LOGINS, 'data-add': p.id }, t('addDevice')));
    addDevice.addEventListener('click', () => {
      const d = device({ page: 'closed' });
      p.devices.push(d);
      draw(`[data-device="${d.id}"] select`);
    });
    const remove = el('button', { type: 'button', 'aria-label': `${t('remove')}: ${p.name}` }, t('remove'));
    remove.addEventListener('click', () => {
      people.splice(people.indexOf(p), 1);
      draw('.person input');
    });
    return el('fieldset.card.person', {}, el('legend.unseen', {}, p.name),
      el('div.row', { 'data-person': p.id }, el('h2.grow', {}, p.name), check(t('dutyOn'), duty), check(t('mutedOn'), muted), addDevice, remove),
      ...p.devices.map((d, i) => showDevice(p, d, i)),
      el('p.result', { 'data-result': p.id }));
  }

  /** @param {Person} p @param {Device} d @param {number} i */
  function showDevice(p, d, i) {
    const page = select(Object.fromEntries(['closed', 'hidden', 'lapsed', 'visible', 'active', 'viewing'].map((v) => [v, t(v)])), d.page);
    const permission = select({ granted: t('granted'), denied: t('denied'), default: t('default') }, d.permission);
    const [switched, subscribed, rang] = [box(d.on), box(d.subscribed), box(d.rang)];
    on(page, () => (d.page = page.value));
    on(permission, () => (d.permission = permission.value));
    on(switched, () => (d.on = switched.checked));
    on(subscribed, () => (d.subscribed = subscribed.checked));
    on(rang, () => (d.rang = rang.checked));
    const name = t('deviceName', { n: i + 1 });
    const remove = el('button.remove', { type: 'button', 'aria-label': `${t('remove')}: ${p.name}, ${name}` }, '✕');
    remove.addEventListener('click', () => {
      p.devices.splice(i, 1);
      draw(`[data-add="${p.id}"]`);
    });
    return el('div.device', { role: 'group', 'aria-label': `${p.name}, ${name}`, 'data-device': d.id },
      el('span.name', {}, name), field(t('page'), page), field(t('permission'), permission), remove,
      el('div.marks', {}, check(t('switchOn'), switched), check(t('hasPush'), subscribed), check(t('rang'), rang)),
      el('div.result', { 'data-result': d.id }));
  }

  add.addEventListener('click', () => {
    const p = person(String.fromCharCode(65 + added++ % 26), [device()]);
    people.push(p);
    draw(`[data-person="${p.id}"] input`);
  });
  draw();
}
