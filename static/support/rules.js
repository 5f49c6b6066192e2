/**
 * Try the rules: people made up, and what a message would do.
 * @module
 */
/** @import {Decision} from './hub.js' */
import { box, check, el, field, select, soon } from './dom.js';
import { post, Refused } from './hub.js';
import { channel, decided, reason, t } from './words.js';

/** @typedef {{id: string, page: string, permission: string, on: boolean, subscribed: boolean}} Device */
/** @typedef {{id: string, name: string, duty: boolean, muted: boolean, devices: Device[]}} Person */

const MOST_AGENTS = 50;
const MOST_LOGINS = 20;

let ids = 0;

/** @param {Partial<Device>} [d] @returns {Device} */
const device = (d = {}) => ({ id: `d${++ids}`, page: 'hidden', permission: 'granted', on: true, subscribed: true, ...d });

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
  panel.append(el('p.soft', {}, t('rulesNote')), el('div.card', {}, assigned, el('br'), verdict, wrong), el('br'), list, el('br'), add);

  let asked = 0;
  const ask = soon(async () => {
    const mine = ++asked;
    try {
      const { decisions } = await post('/v1/rules/try', {
        assignment: to === 'team' ? { team: true } : to === 'nobody' ? {} : { agent: to },
        agents: people.map((p) => ({
          id: p.id, on_duty: p.duty, muted: p.muted,
          logins: p.devices.map((d) => ({ device: d.id, page: d.page, on: d.on, permission: d.permission, subscribed: d.subscribed })),
        })),
      });
      if (mine === asked) show(decisions);
    } catch (e) {
      if (mine !== asked) return;
      wrong.textContent = e instanceof Refused ? e.message : t('unreachableHub');
      wrong.hidden = false;
    }
  }, 80);

  /** @param {Decision[]} decisions */
  function show(decisions) {
    wrong.hidden = true;
    for (const out of list.querySelectorAll('.result')) out.replaceChildren();
    for (const d of decisions) {
      const out = list.querySelector(`[data-result="${d.device ?? d.agent ?? ''}"]`);
      out?.replaceChildren(
        el(`span.channel.${d.channel}`, {}, channel(d.channel)), ` – ${decided(d).reason}`,
        d.unconfirmed ? el('span.soft', {}, el('br'), t('ifUnconfirmed', decided(d.unconfirmed))) : '');
    }
    const lost = decisions.every((d) => d.channel === 'none');
    verdict.className = `verdict ${lost ? 'wrong' : 'good'}`;
    verdict.textContent = lost
      ? t('verdictNobody', { causes: [...new Set(decisions.map((d) => reason(d.reason)))].join(', ') })
      : t('verdictReached');
  }

  /** @param {HTMLInputElement | HTMLSelectElement} control @param {() => void} then */
  function on(control, then) {
    control.addEventListener('input', () => {
      then();
      ask();
    });
    return control;
  }

  function draw() {
    const options = Object.fromEntries([...people.map((p) => [p.id, p.name]), ['team', t('toTeam')], ['nobody', t('nobody')]]);
    if (!(to in options)) to = 'team';
    const whom = select(options, to);
    on(whom, () => (to = whom.value));
    assigned.replaceChildren(field(t('rulesTo'), whom));
    list.replaceChildren(...people.map(showPerson));
    add.disabled = people.length >= MOST_AGENTS;
    ask();
  }

  /** @param {Person} p */
  function showPerson(p) {
    const duty = box(p.duty);
    const muted = box(p.muted);
    on(duty, () => (p.duty = duty.checked));
    on(muted, () => (p.muted = muted.checked));
    const addDevice = /** @type {HTMLButtonElement} */ (el('button', { type: 'button', disabled: p.devices.length >= MOST_LOGINS }, t('addDevice')));
    addDevice.addEventListener('click', () => {
      p.devices.push(device({ page: 'closed' }));
      draw();
    });
    const remove = el('button', { type: 'button', 'aria-label': `${t('remove')}: ${p.name}` }, t('remove'));
    remove.addEventListener('click', () => {
      people.splice(people.indexOf(p), 1);
      draw();
    });
    return el('fieldset.card.person', {}, el('legend.unseen', {}, p.name),
      el('div.row', {}, el('h3.grow', {}, p.name), check(t('dutyOn'), duty), check(t('mutedOn'), muted), addDevice, remove),
      ...p.devices.map((d, i) => showDevice(p, d, i)),
      el('p.result', { 'data-result': p.id }));
  }

  /** @param {Person} p @param {Device} d @param {number} i */
  function showDevice(p, d, i) {
    const page = select({ closed: t('closed'), hidden: t('hidden'), visible: t('visible'), active: t('active'), viewing: t('viewing') }, d.page);
    const permission = select({ granted: t('granted'), denied: t('denied'), default: t('default') }, d.permission);
    const switched = box(d.on);
    const subscribed = box(d.subscribed);
    on(page, () => (d.page = page.value));
    on(permission, () => (d.permission = permission.value));
    on(switched, () => (d.on = switched.checked));
    on(subscribed, () => (d.subscribed = subscribed.checked));
    const name = t('deviceName', { n: i + 1 });
    const remove = el('button', { type: 'button', 'aria-label': `${t('remove')}: ${p.name}, ${name}` }, '✕');
    remove.addEventListener('click', () => {
      p.devices.splice(i, 1);
      draw();
    });
    return el('div.device', { role: 'group', 'aria-label': `${p.name}, ${name}` },
      el('span.name', {}, name), field(t('page'), page), field(t('permission'), permission), check(t('switchOn'), switched), check(t('hasPush'), subscribed), remove,
      el('div.result', { 'data-result': d.id }));
  }

  add.addEventListener('click', () => {
    people.push(person(String.fromCharCode(65 + ((people.length - 2 + 26) % 26)), [device()]));
    draw();
  });
  draw();
}
