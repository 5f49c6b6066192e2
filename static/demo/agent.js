/**
 * An agent's app: what CAAC's front end does with the SDK.
 * @module
 */
/** @import {State, StateInfo} from '../sdk/types.js' */
import { connect } from '../sdk/index.js';
import { chats, initial } from './chat.js';
import { check } from './check.js';
import { byId, el, follow, request } from './common.js';
import { demoBar } from './demo-bar.js';
import { profile } from './profile.js';
import { closeWords, errorWords } from './results.js';
import { pendingSetup } from './setup.js';
import { speak, t, translate } from './strings.js';

const LAST = 'caac.agent';
/** After this long, in ms, a page that is still connecting says so. */
const SLOW = 2_000;

/** Who is logged in here: as the address says, or else who was last. */
function whoami() {
  let named = '';
  try {
    named = decodeURIComponent(location.pathname.split('/')[2] ?? '');
    if (named) localStorage.setItem(LAST, named);
    return named || localStorage.getItem(LAST) || '';
  } catch {
    return named;
  }
}

/** The next start asks who logs in. */
function forgetLast() {
  try {
    localStorage.removeItem(LAST);
  } catch {
    // Nobody was kept.
  }
}

translate();
const agent = whoami();
if (agent) start();
else void logIn();

/** CAAC asks for an account here; the demo lets one be chosen. */
async function logIn() {
  byId('app').hidden = true;
  byId('login').hidden = false;
  try {
    const { agents } = await request('GET', '/demo/state');
    byId('accounts').replaceChildren(...agents.map((/** @type {{id: string, name: string}} */ a) =>
      el('li', {}, el('a.button', { href: `/agent/${encodeURIComponent(a.id)}` }, el('span.avatar', { ariaHidden: 'true' }, initial(a.name)), a.name))));
  } catch {
    byId('no-accounts').hidden = false;
  }
}

function start() {
  /** @type {{token: string, until: number} | null} */
  let kept = null;
  async function token() {
    if (kept && Date.now() < kept.until) return kept.token;
    const { token, expires } = await request('POST', '/demo/token', { agent }).catch((e) => {
      if (e.code === 'unknown_agent') {
        client.close();
        gone(errorWords(e), true);
      }
      throw e;
    });
    kept = { token, until: Date.parse(expires) - 180_000 };
    return token;
  }

  let onDuty = false;
  /** @type {State} */
  let connection = 'connecting';
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let slow;
  const duty = /** @type {HTMLInputElement} */ (byId('duty'));
  /** @type {ReturnType<typeof check> | undefined} the client tells its first state while it is made */
  let checks;

  const client = connect({
    token,
    serviceWorker: '/sw-app.js',
    // Several agents may try the demo in one browser: each has a place of its own.
    place: agent,
    toast: byId('toasts'),
    onCounts: (c) => chat.counts(c),
    onOpen: (conversation) => go({ conversation }),
    onDuty(on, may) {
      onDuty = on;
      duty.checked = on;
      duty.disabled = !may;
      showDuty();
      checks?.again();
    },
    onSettings(settings, self) {
      if (speak(settings.locale)) retell();
      showName(self.name);
      settingsView.settings(settings, self);
    },
    onState: showConnection,
    onWithdraw: () => chat.changed(),
  });
  const chat = chats({
    client,
    agent,
    open: (conversation) => go({ conversation }),
    titled: (contact) => {
      document.title = `${contact} · CAAC`;
    },
  });
  const settingsView = profile(client, { checkAgain: () => checks?.again(), open: () => go({ view: 'profile' }) });
  const bar = demoBar(agent, settingsView.device);
  checks = check(client, settingsView, { onDuty: () => onDuty });

  /** @param {string} name */
  function showName(name) {
    byId('name').textContent = byId('my-name').textContent = name;
    byId('initial').textContent = initial(name);
    byId('profile-words').textContent = t('app.profile_icon', { name });
    bar.name(name);
  }

  function showDuty() {
    byId('duty-words').textContent = t(onDuty ? 'duty.on' : 'duty.off');
    byId('duty-note').hidden = onDuty || !client.self;
  }
  duty.addEventListener('change', () => {
    if (!client.duty(duty.checked)) duty.checked = !duty.checked;
  });

  /**
   * @param {State} s
   * @param {StateInfo} info
   */
  function showConnection(s, info) {
    connection = s;
    clearTimeout(slow);
    if (s === 'connecting') slow = setTimeout(showLine, SLOW, true);
    if (s === 'logged_out') gone(t('gone.logged_out'), true);
    else if (s === 'refused') gone(closeWords(info), false);
    showLine();
    checks?.again();
  }
  /** @param {string} words why @param {boolean} ended whoever logs in next is asked who */
  function gone(words, ended) {
    if (ended) forgetLast();
    byId('app').hidden = true;
    byId('gone').hidden = false;
    byId('gone-words').textContent = words;
    byId('again').onclick = () => (ended ? location.assign('/agent/') : location.reload());
  }
  /** @param {boolean} [late] the connection should stand by now */
  function showLine(late) {
    byId('connection').textContent = !navigator.onLine ? t('line.offline') : connection === 'waiting' ? t('line.waiting')
      : late ? t('line.connecting') : '';
  }
  addEventListener('online', () => showLine());
  addEventListener('offline', () => showLine());

  /** Tells everything again, in another language. */
  function retell() {
    translate();
    showDuty();
    showLine();
    showName(client.self?.name ?? agent);
    if (byId('app').dataset.shows !== 'chat') showTitle();
    chat.retell();
    settingsView.retell();
    checks?.retell();
  }

  // ---- What is shown: the address says it, so that "back" goes back.

  /** @typedef {{conversation?: string | null, view?: 'profile' | 'check' | null}} Where */

  /** @param {Where} where @param {boolean} [replace] */
  function go({ conversation = null, view = null }, replace) {
    const url = new URL(location.href);
    url.search = '';
    if (view) url.searchParams.set('view', view);
    if (conversation) url.searchParams.set('conversation', conversation);
    if (url.href !== location.href) history[replace ? 'replaceState' : 'pushState'](null, '', url);
    show(true);
  }

  /** @type {{shown: string, conversation: string | null} | undefined} */
  let before;

  /** @param {boolean} [moved] by the person: the focus goes along */
  function show(moved) {
    const query = new URL(location.href).searchParams;
    const view = query.get('view');
    const conversation = view ? null : query.get('conversation');
    const shown = view === 'profile' || view === 'check' ? view : conversation ? 'chat' : '';
    const from = before;
    before = { shown, conversation };
    for (const id of ['chat', 'profile', 'check']) byId(id).hidden = id !== shown;
    byId('none').hidden = shown !== '';
    byId('app').dataset.shows = shown;
    const apart = shown === 'profile' || shown === 'check';
    byId('to-list').ariaCurrent = apart ? null : 'page';
    byId('profile-icon').ariaCurrent = apart ? 'page' : null;
    if (shown !== 'chat') showTitle();
    /** @type {HTMLAnchorElement} */ (document.querySelector('.skip')).hash = shown ? 'main' : 'list';
    client.viewing(conversation);
    chat.show(conversation);
    menu(false);
    if (shown === 'profile') settingsView.opened();
    if (shown === 'check') checks?.opened();
    else checks?.closed();
    const lost = !document.activeElement?.getClientRects().length || document.activeElement === document.body;
    if (!from || !(moved || lost)) return;
    if (shown) byId(shown === 'chat' ? 'chat-name' : `${shown}-title`).focus();
    else if (from.shown === 'chat') chat.focus(from.conversation);
    else if (from.shown) byId('profile-icon').focus();
  }
  addEventListener('popstate', () => show());

  function showTitle() {
    const { shows: shown } = byId('app').dataset;
    document.title = shown === 'profile' ? `${t('profile.title')} · CAAC` : shown === 'check' ? `${t('check.title')} · CAAC` : 'CAAC';
  }

  /** One up: from a view to the list. */
  const up = () => go({});
  for (const b of document.querySelectorAll('button.back')) b.addEventListener('click', up);
  byId('to-list').addEventListener('click', up);

  // ---- The menu of the profile icon.

  /** @param {boolean} open */
  function menu(open) {
    byId('menu').hidden = !open;
    byId('profile-icon').setAttribute('aria-expanded', String(open));
  }
  byId('profile-icon').addEventListener('click', (e) => {
    menu(byId('menu').hidden);
    if (e.detail === 0 && !byId('menu').hidden) byId('open-profile').focus(); // by the keyboard
  });
  byId('me').addEventListener('focusout', (e) => {
    if (e.relatedTarget && !byId('me').contains(/** @type {Node} */ (e.relatedTarget))) menu(false);
  });
  byId('open-profile').addEventListener('click', () => go({ view: 'profile' }));
  byId('open-check').addEventListener('click', () => go({ view: 'check' }));
  byId('go-check').addEventListener('click', () => go({ view: 'check' }));
  byId('logout').addEventListener('click', async () => {
    menu(false);
    await settingsView.change(() => client.logout());
    if (client.state === 'closed') showConnection('logged_out', {});
  });
  document.addEventListener('click', (e) => {
    if (!byId('me').contains(/** @type {Node} */ (e.target))) menu(false);
  });
  document.addEventListener('keydown', (e) => {
    if (e.isComposing || e.defaultPrevented) return;
    if (e.key === 'Escape') {
      if (!byId('menu').hidden) {
        menu(false);
        byId('profile-icon').focus();
      } else if (byId('app').dataset.shows) up();
      return;
    }
    const list = /** @type {HTMLElement} */ (e.target).closest?.('#conversations, #menu');
    if (!list) return;
    const buttons = [...list.querySelectorAll('button')];
    const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (e.target));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[e.key];
    if (to === undefined) return;
    buttons[to]?.focus();
    e.preventDefault();
  });

  // Toasts stand above what is at the foot of the page.
  const feet = ['reply', 'demo'].map((id) => byId(id));
  const foot = new ResizeObserver(() => {
    const tops = feet.filter((e) => e.checkVisibility()).map((e) => e.getBoundingClientRect().top);
    byId('toasts').style.setProperty('--foot', `${innerHeight - Math.min(innerHeight, ...tops)}px`);
  });
  for (const e of feet) foot.observe(e);

  // Where the on-screen keyboard covers the page (iOS), the page ends above it.
  visualViewport?.addEventListener('resize', () => {
    const { height, scale } = /** @type {VisualViewport} */ (visualViewport);
    const covered = scale === 1 && innerHeight - height > 100;
    document.body.style.height = covered ? `${height}px` : '';
    if (covered) scrollTo(0, 0);
  });

  follow({
    again: () => chat.changed(),
    message: (line) => chat.changed(line.conversation),
    trace(e) {
      chat.changed(e.conversation);
      bar.trace(e);
    },
  });

  bar.retell();
  showName(agent);
  if (pendingSetup()) go({ view: 'check' }, true);
  else show();
}
