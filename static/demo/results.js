/**
 * What came of things, in the agent's language.
 * @module
 */
/** @import {PushResult, PushTestResult, StateInfo, TestResult} from '../sdk/types.js' */
/** @import {Key} from './strings.js' */
import { list, maybe, seconds, t } from './strings.js';

/**
 * What the hub's problems mean to an agent, by their codes.
 * @type {Record<string, Key>}
 */
export const PROBLEMS = {
  unreachable: 'problem.unreachable',
  unavailable: 'problem.later', busy: 'problem.later', not_ready: 'problem.later', ending: 'problem.later', bus: 'problem.later',
  internal: 'problem.internal',
  too_many_requests: 'problem.too_many', too_many_tests: 'problem.too_many', too_many_handshakes: 'problem.too_many',
  no_token: 'problem.login', bad_token: 'problem.login', token_expired: 'problem.login', token_key_unknown: 'problem.later',
  no_device: 'problem.device', not_this_device: 'problem.device', unknown_device: 'problem.device',
  unknown_agent: 'problem.agent',
  unknown_login: 'problem.forgotten',
  too_many_logins: 'problem.logins', too_many_devices: 'problem.devices',
  no_subscription: 'problem.no_subscription', endpoint_taken: 'problem.endpoint_taken', bad_subscription: 'problem.bad_subscription',
  duty_is_set_elsewhere: 'problem.duty',
  foreign_origin: 'problem.foreign', foreign_host: 'problem.foreign', no_code: 'problem.foreign',
  invalid: 'problem.invalid', unknown_field: 'problem.invalid', body_too_large: 'problem.invalid',
  body_cut: 'problem.unreachable', body_slow: 'problem.unreachable',
  not_found: 'problem.gone', unknown_conversation: 'problem.gone', unknown_push_test: 'problem.gone',
};

/**
 * Why something failed: a HubError, one of request(), or whatever else was thrown.
 * @param {unknown} e
 */
export function errorWords(e) {
  const { code, message } = /** @type {{code?: unknown, message?: string}} */ (e ?? {});
  if (typeof code === 'string') return t(PROBLEMS[code] ?? 'problem.other', { code });
  return t('problem.page', { why: message ?? String(e) });
}

/**
 * Why the hub doesn't let this page connect again (docs/protocol.md, close codes).
 * @param {StateInfo} info
 */
export const closeWords = ({ code = 0, reason }) => maybe(`gone.${code}`, t('gone.refused', { why: reason || String(code) }));

/** @param {PushResult} r */
export function enableWords(r) {
  if (r.ok) return t('state.granted');
  if (r.side === 'hub') return r.reason && PROBLEMS[r.reason] ? `${t('enable.hub')} ${t(PROBLEMS[r.reason])}` : t('enable.hub');
  return maybe(`enable.${r.reason}`, t('enable.refused'));
}

/** @param {TestResult} r */
export const deviceTestWords = ({ ok, reason }) => t(ok ? 'test.shown' : reason === 'not_granted' ? 'test.not_granted' : reason === 'no_worker' ? 'enable.no_worker' : 'test.not_shown');

/** @param {PushTestResult} r */
export function pushTestWords(r) {
  const what = r.receivedMillis !== null ? t('test.received', { s: seconds(r.receivedMillis / 1000) }) : t(r.accepted ? 'test.accepted' : 'test.failed');
  const why = list(r.silenced.map((reason) => maybe(`silenced.${reason}`, reason.replaceAll('_', ' '))));
  return `${what} ${why ? t('test.silenced', { why }) : t('test.not_silenced')}`;
}
