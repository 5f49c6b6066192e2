/**
 * Milliseconds to wait before the next try: full jitter from 0.5 s to at most 30 s.
 * @param {number} attempt from 0
 * @param {number} random in [0, 1)
 */
export function backoff(attempt: number, random: number): number;
/**
 * What a close code asks for.
 * @param {number} code
 * @returns {'stop' | 'token' | 'again'}
 */
export function afterClose(code: number): "stop" | "token" | "again";
/**
 * @typedef {(frame: object) => boolean} Send false: it could not be sent
 * @typedef {{ws: WebSocket | null, welcomed: number, who: string, over: boolean, heard: number, deadline?: ReturnType<typeof setTimeout>, stable?: ReturnType<typeof setTimeout>, release?: () => void}} Link
 */
/**
 * @param {object} o
 * @param {string} o.url ws or wss
 * @param {() => Promise<() => void>} o.turn waits for this page's turn to say hello; the result ends the turn
 * @param {() => Promise<string>} o.token
 * @param {(token: string) => object} o.hello makes the first frame
 * @param {() => object} o.probe makes a frame the hub must answer
 * @param {(frame: any, reply: Send, fresh: boolean) => void} o.onFrame fresh: this welcome begins a socket
 * @param {(state: State, info: StateInfo) => void} o.onState
 */
export function createSocket({ url, turn, token, hello, probe, onFrame, onState }: {
    url: string;
    turn: () => Promise<() => void>;
    token: () => Promise<string>;
    hello: (token: string) => object;
    probe: () => object;
    onFrame: (frame: any, reply: Send, fresh: boolean) => void;
    onState: (state: State, info: StateInfo) => void;
}): {
    open: () => undefined;
    /** @type {Send} */
    send: Send;
    /**
     * Sends what holds of the page, whichever of its sockets the hub goes by.
     * @param {object} frame
     */
    claim(frame: object): void;
    /** @param {boolean} doubt the socket may be dead without knowing */
    wake(doubt: boolean): void;
    /** Opens a new socket in place of the one there is. */
    renew: () => undefined;
    /** @param {object} [last] frame to go with */
    close(last?: object): void;
};
/**
 * false: it could not be sent
 */
export type Send = (frame: object) => boolean;
export type Link = {
    ws: WebSocket | null;
    welcomed: number;
    who: string;
    over: boolean;
    heard: number;
    deadline?: ReturnType<typeof setTimeout>;
    stable?: ReturnType<typeof setTimeout>;
    release?: () => void;
};
import type { State } from './types.js';
import type { StateInfo } from './types.js';
