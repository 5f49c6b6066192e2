/**
 * Support's page: why it did or did not ring, who can be reached now, and what the
 * rules would do.
 * @module
 */
import { byId } from './dom.js';
import { byItself, follow, get, key, logIn, onRefused, Refused } from './hub.js';
import { startReach } from './reach.js';
import { startRules } from './rules.js';
import { startWhy } from './why.js';
import { locale, speak, t } from './words.js';

const TABS = ['why', 'reach', 'rules'];

for (const e of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-t]'))) e.textContent = t(e.dataset.t ?? '');
document.title = t('title');

const language = /** @type {HTMLSelectElement} */ (byId('language'));
language.value = locale();
language.addEventListener('change', () => speak(language.value));

/** @type {{why: ReturnType<typeof startWhy>, reach: ReturnType<typeof startReach>} | null} */
let inside = null;
let stop = () => {};

/** @returns {string} the tab that the address names */
const named = () => TABS.find((tab) => location.hash.slice(1).split('?')[0] === tab) ?? 'why';

/** @param {string} tab @param {boolean} [focus] */
function show(tab, focus = false) {
  for (const id of TABS) {
    const button = byId(`tab-${id}`);
    button.setAttribute('aria-selected', String(id === tab));
    button.tabIndex = id === tab ? 0 : -1;
    byId(id).hidden = id !== tab;
    if (id === tab && focus) button.focus();
  }
  inside?.reach.shown(tab === 'reach');
}

for (const [i, id] of TABS.entries()) {
  const button = byId(`tab-${id}`);
  button.addEventListener('click', () => {
    history.replaceState(null, '', `#${id}`);
    show(id);
  });
  button.addEventListener('keydown', (e) => {
    const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: TABS.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    const next = TABS[(to + TABS.length) % TABS.length];
    history.replaceState(null, '', `#${next}`);
    show(next, true);
  });
}
window.addEventListener('hashchange', () => {
  show(named());
  if (named() === 'why') inside?.why.fromAddress();
});

/** @param {boolean} on */
function live(on) {
  const e = byId('live');
  e.textContent = on ? t('live') : t('notLive');
  e.classList.toggle('on', on);
}

/** @param {string} [wrong] */
function ask(wrong = '') {
  stop();
  byId('inside').hidden = true;
  byId('leave').hidden = true;
  byId('live').textContent = '';
  byId('enter').hidden = false;
  byId('enter-wrong').textContent = wrong;
  byId('enter-wrong').hidden = !wrong;
  byId('key').focus();
}

function open() {
  byId('enter').hidden = true;
  byId('inside').hidden = false;
  byId('leave').hidden = byItself;
  const tabs = inside ?? { why: startWhy(byId('why')), reach: startReach(byId('reach')) };
  if (!inside) startRules(byId('rules'));
  inside = tabs;
  show(named());
  tabs.why.fromAddress();
  stop = follow({
    changed(c) {
      tabs.why.changed(c);
      tabs.reach.changed();
    },
    again() {
      tabs.why.changed({ messages: [], agents: [], more: true });
      tabs.reach.changed();
    },
    live,
  });
}

onRefused(() => {
  key.set(null);
  ask(t('refused'));
});

byId('leave').addEventListener('click', () => {
  key.set(null);
  location.reload();
});

byId('enter-form').addEventListener('submit', async (e) => {
  e.preventDefault();
  const input = /** @type {HTMLInputElement} */ (byId('key'));
  key.set(input.value.trim());
  try {
    await get('/v1/traces', { limit: '1' });
    input.value = '';
    open();
  } catch (err) {
    key.set(null);
    ask(err instanceof Refused ? err.message : t('unreachableHub'));
  }
});

try {
  if (!key.get() && byItself) await logIn();
  if (key.get()) open();
  else ask();
} catch (err) {
  ask(err instanceof Refused ? err.message : t('unreachableHub'));
}
