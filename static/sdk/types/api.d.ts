/**
 * @typedef {(method: string, path: string, body?: object) => Promise<any>} Api rejects with HubError
 */
/**
 * @param {URL} base
 * @param {() => Promise<string>} token
 * @returns {Api}
 */
export function createApi(base: URL, token: () => Promise<string>): Api;
/**
 * @param {string} text
 * @returns {any} null: not JSON
 */
export function parse(text: string): any;
/** What the hub refused, or that it could not be reached (status 0). */
export class HubError extends Error {
    /**
     * @param {number} status HTTP, 0 without an answer
     * @param {string} code stable
     * @param {string} detail for people
     */
    constructor(status: number, code: string, detail: string);
    status: number;
    code: string;
}
/**
 * rejects with HubError
 */
export type Api = (method: string, path: string, body?: object) => Promise<any>;
