/**
 * Requests to the hub's HTTP interface.
 * @module
 */
import { device } from './storage.js';

/** What the hub refused, or that it could not be reached (status 0). */
export class HubError extends Error {
  /**
   * @param {number} status HTTP, 0 without an answer
   * @param {string} code stable
   * @param {string} detail for people
   */
  constructor(status, code, detail) {
    super(detail);
    this.name = 'HubError';
    this.status = status;
    this.code = code;
  }
}

const WITHIN = 15_000;

/**
 * @typedef {(method: string, path: string, body?: object) => Promise<any>} Api rejects with HubError
 */

/**
 * @param {URL} base
 * @param {() => Promise<string>} token
 * @returns {Api}
 */
export function createApi(base, token) {
  return async (method, path, body) => {
    const d = device();
    /** @type {Record<string, string>} */
    const headers = { Authorization: `Bearer ${await token()}` };
    if (d) Object.assign(headers, { 'X-Device': d.id, 'X-Device-Key': d.key });
    if (body) headers['Content-Type'] = 'application/json';
    let answer;
    let text;
    try {
      answer = await fetch(new URL(path, base), {
        method,
        headers,
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(WITHIN),
        credentials: 'omit',
        cache: 'no-store',
      });
      text = await answer.text();
    } catch {
      throw new HubError(0, 'unreachable', 'The hub could not be reached.');
    }
    const json = parse(text);
    if (!answer.ok) {
      throw new HubError(answer.status, json?.code ?? 'unknown', json?.detail ?? `The hub answered ${answer.status}.`);
    }
    return json;
  };
}

/**
 * @param {string} text
 * @returns {any} null: not JSON
 */
export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
