/**
 * "My profile": notifications, tests and devices.
 * @module
 */
/** @import {Client} from '../sdk/index.js' */
/** @import {PushResult, Self, Settings} from '../sdk/types.js' */
import { byId, el, SILENCED } from './common.js';

const BLOCKED =
  'Browser notification is blocked. To change that, click the settings icon to the left of the address bar and allow notifications; ' +
  "on a phone, allow them for CAAC or the browser in the system's settings. Then come back here.";

/** @type {Record<string, string>} */
const PERMISSION = {
  granted: 'Browser notification is granted.',
  denied: BLOCKED,
  default: 'Browser notification is not granted yet.',
};

/** @param {Client} client */
export function profile(client) {
  /** @type {Settings | null} */
  let settings = null;
  let device = '';
  let enabling = false;

  const box = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (byId(id));

  function show() {
    if (!settings) return;
    const { device: d, notifications, preview, locale } = settings;
    byId('permission-words').textContent = PERMISSION[d.permission] ?? d.permission;
    byId('push-words').textContent = d.subscribed
      ? 'Push reaches this device, even with no page open.'
      : enabling
        ? 'Push is being turned on here…'
        : d.permission === 'granted'
          ? 'No push on this device: without an open page nothing rings here.'
          : '';
    byId('banner').hidden = d.permission !== 'default';
    byId('grant').hidden = d.permission === 'denied' || (d.permission === 'granted' && d.subscribed);
    byId('grant').textContent = d.permission === 'granted' ? 'Turn push on here' : 'Grant browser notification';
    byId('push-off').hidden = !d.subscribed;
    box('device-on').checked = d.on;
    box('notifications').checked = notifications;
    box('preview').value = preview;
    box('locale').value = locale || 'en';
  }

  /** @param {PushResult} result */
  function showEnabled(result) {
    const said = byId('enable-result');
    said.hidden = false;
    said.className = result.ok ? 'card' : 'card bad';
    const whose = { permission: '', browser: 'This browser: ', push_service: 'The push service: ', hub: 'The hub: ' }[result.side ?? 'permission'];
    said.textContent = whose + result.detail;
  }

  for (const button of document.querySelectorAll('button.grant')) {
    button.addEventListener('click', async () => {
      const b = /** @type {HTMLButtonElement} */ (button);
      b.disabled = enabling = true;
      try {
        showEnabled(await client.enablePush());
      } finally {
        b.disabled = enabling = false;
        show();
      }
    });
  }

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
  byId('logout').addEventListener('click', () => change(() => client.logout()).then(() => {
    byId('gone-words').textContent = 'You are logged out on this device.';
    byId('gone').hidden = false;
    byId('main').hidden = true;
  }));

  const result = byId('test-result');
  /**
   * @param {string} id
   * @param {string} meanwhile
   * @param {() => Promise<string>} run
   */
  function test(id, meanwhile, run) {
    byId(id).addEventListener('click', async () => {
      const button = /** @type {HTMLButtonElement} */ (byId(id));
      button.disabled = true;
      result.textContent = meanwhile;
      try {
        result.textContent = await run();
      } catch (e) {
        result.textContent = e instanceof Error ? e.message : String(e);
      } finally {
        button.disabled = false;
      }
    });
  }
  test('device-test', 'Showing…', async () => (await client.deviceTest()).detail);
  test('push-test', 'Sending a push; waiting for it to arrive…', async () => {
    const { detail, silenced } = await client.pushTest();
    const why = silenced.map((r) => SILENCED[r] ?? r.replaceAll('_', ' '));
    return why.length ? `${detail} A real message would not ring here now: ${why.join(', ')}.` : detail;
  });

  async function showDevices() {
    const list = byId('devices');
    try {
      const devices = await client.devices();
      list.replaceChildren(...devices.map((d) => {
        const forget = el('button', { type: 'button' }, 'Forget');
        forget.addEventListener('click', () => change(async () => {
          await client.forget(d.device);
          await showDevices();
        }));
        const s = d.settings;
        const facts = [d.current && 'this device', d.presence, s.permission === 'granted' ? (s.subscribed ? 'push' : 'no push') : 'notifications not granted', !s.on && 'switch off'];
        return el('li', {},
          el('span.grow', {}, d.label || d.code, el('span.soft', {}, ` ${d.code} · ${facts.filter(Boolean).join(' · ')}`)),
          forget);
      }));
    } catch (e) {
      list.replaceChildren(el('li.bad', {}, e instanceof Error ? e.message : String(e)));
    }
  }

  /** @param {boolean} open */
  function toggle(open) {
    byId('profile').hidden = !open;
    byId('main').classList.toggle('profiled', open);
    byId('open-profile').setAttribute('aria-expanded', String(open));
    if (open) void showDevices();
  }
  byId('open-profile').addEventListener('click', () => toggle(byId('profile').hidden));

  return {
    /**
     * @param {Settings} s
     * @param {Self} self
     */
    settings(s, self) {
      settings = s;
      device = self.device;
      byId('code').textContent = self.code;
      show();
      if (!byId('profile').hidden) void showDevices();
    },
    /** On a phone the chat takes the profile's room. */
    close() {
      if (matchMedia('(max-width: 820px)').matches) toggle(false);
    },
    /** This device's id. */
    device: () => device,
  };
}
