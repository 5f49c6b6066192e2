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
import { locale, problem, speak, t } from './words.js';

const TABS = ['why', 'reach', 'rules'];

for (const e of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-t]'))) e.textContent = t(e.dataset.t ?? '');
document.title = t('title');
byId('tabs').setAttribute('aria-label', t('parts'));

const language = /** @type {HTMLSelectElement} */ (byId('language'));
language.value = locale();
language.addEventListener('change', () => speak(language.value));

/** @type {{why: ReturnType<typeof startWhy>, reach: ReturnType<typeof startReach>} | null} */
let inside = null;
let stop = () => {};
/** Where each tab was left. @type {Record<string, string>} */
const left = {};
let at = '';

/** @returns {string} the tab that the address names */
const named = () => TABS.find((tab) => location.hash.slice(1).split('?')[0] === tab) ?? 'why';

/** Shows what the address says. */
function show() {
  if (!inside || byId('inside').hidden) return;
  const tab = named();
  left[tab] = location.hash;
  for (const id of TABS) {
    const button = byId(`tab-${id}`);
    button.setAttribute('aria-selected', String(id === tab));
    button.tabIndex = id === tab ? 0 : -1;
    byId(id).hidden = id !== tab;
  }
  if (tab === 'why') inside.why.fromAddress();
  inside.reach.shown(tab === 'reach');
  if (tab !== at) document.title = `${byId(`tab-${tab}`).textContent} – ${t('title')}`;
  at = tab;
}

/** @param {string} tab */
function go(tab) {
  if (tab === named()) return;
  history.pushState(null, '', left[tab] || `#${tab}`);
  show();
}

for (const [i, id] of TABS.entries()) {
  const button = byId(`tab-${id}`);
  button.addEventListener('click', () => go(id));
  button.addEventListener('keydown', (e) => {
    const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: TABS.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    const next = TABS[(to + TABS.length) % TABS.length];
    go(next);
    byId(`tab-${next}`).focus();
  });
}
window.addEventListener('popstate', show);
window.addEventListener('hashchange', show);

/** @param {import('./hub.js').Link} link */
function linked(link) {
  const words = byId('live');
  const away = byId('away');
  words.textContent = t(link === 'live' ? 'live' : 'notLive');
  words.classList.toggle('on', link === 'live');
  away.hidden = link === 'live';
  away.textContent = link === 'live' ? '' : t(link === 'away' ? 'away' : 'streamBusy');
}

/** @param {string} [wrong] */
function ask(wrong = '') {
  stop();
  byId('inside').hidden = true;
  byId('leave').hidden = true;
  byId('live').textContent = '';
  byId('away').hidden = true;
  byId('enter').hidden = false;
  byId('enter-wrong').textContent = wrong;
  byId('enter-wrong').hidden = !wrong;
  byId('key').focus();
}

function open() {
  byId('enter').hidden = true;
  byId('inside').hidden = false;
  byId('leave').hidden = byItself;
  byId('live').textContent = t('connecting');
  const tabs = inside ?? { why: startWhy(byId('why')), reach: startReach(byId('reach')) };
  if (!inside) startRules(byId('rules'));
  inside = tabs;
  show();
  stop = follow({
    changed(c) {
      tabs.why.changed(c);
      tabs.reach.changed();
    },
    again() {
      tabs.why.changed({ messages: [], agents: [], more: true });
      tabs.reach.changed();
    },
    link: linked,
  });
}

onRefused((why) => {
  key.set(null);
  const was = byId('enter').hidden;
  ask(was && why.status === 401 ? t('refused') : problem(why));
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
    byId(`tab-${named()}`).focus();
  } catch (err) {
    key.set(null);
    ask(problem(err));
  }
});

try {
  if (!key.get() && byItself) await logIn();
  if (key.get()) open();
  else ask();
} catch (err) {
  ask(err instanceof Refused ? problem(err) : t('unreachableHub'));
}
