/**
 * What came of things, in the agent's language.
 * @module
 */
/** @import {PushResult, PushTestResult, TestResult} from '../sdk/types.js' */
import { seconds } from './checks.js';
import { maybe, t } from './strings.js';

/** @param {PushResult} r */
export function enableWords(r) {
  if (r.ok) return t('state.granted');
  const words = maybe(`enable.${r.reason}`, r.side === 'hub' ? t('enable.hub') : r.side === 'push_service' ? t('enable.refused') : r.detail);
  return words;
}

/** @param {TestResult} r */
export function deviceTestWords(r) {
  if (r.ok) return t('test.shown');
  return 'Notification' in globalThis && Notification.permission === 'granted' ? t('test.not_shown') : t('test.not_granted');
}

/** @param {PushTestResult} r */
export function pushTestWords(r) {
  const what = r.receivedMillis !== null ? t('test.received', { s: seconds(r.receivedMillis) }) : t(r.accepted ? 'test.accepted' : 'test.failed');
  const why = r.silenced.map((reason) => maybe(`silenced.${reason}`, reason.replaceAll('_', ' '))).join(t('list.and'));
  return `${what} ${why ? t('test.silenced', { why }) : t('test.not_silenced')}`;
}
