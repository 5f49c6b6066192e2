/**
 * The foot of the page, where whoever tries the demo lets a contact write.
 * @module
 */
/** @import {Trace} from './common.js' */
import { byId, once, request } from './common.js';
import { errorWords } from './results.js';
import { maybe, t } from './strings.js';

/**
 * @param {string} agent
 * @param {() => string} device this device's id
 */
export function demoBar(agent, device) {
  let name = agent;
  let written = ''; // the message last written from here
  const said = byId('write-result');
  const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll('button.write'));

  for (const button of buttons) {
    button.addEventListener('click', () => once(button, async () => {
      const n = Number(button.value);
      try {
        const { message } = await request('POST', '/demo/messages', { contact: 'Ada', kind: 'text', text: t('demo.text'), to: { agent }, delay_seconds: n });
        written = message;
        said.textContent = n ? t('demo.comes', { n }) : '';
      } catch (e) {
        said.textContent = errorWords(e);
      }
    }));
  }

  function retell() {
    byId('write-label').textContent = t('demo.write', { name });
    for (const b of buttons) b.textContent = b.value === '0' ? t('demo.now') : t('demo.in', { n: b.value });
  }

  return {
    retell,
    /** @param {string} n the agent's name */
    name(n) {
      name = n;
      retell();
    },
    /** @param {{message: string, trace: Trace}} e */
    trace({ message, trace }) {
      const here = trace.deliveries.find((d) => d.agent === agent && d.device === device());
      if (written !== message || !here) return;
      const what = `${maybe(`demo.${here.channel}`, here.channel)}: ${maybe(`demo.${here.reason}`, here.reason.replaceAll('_', ' '))}`;
      said.textContent = t('demo.here', { what });
    },
  };
}
