/**
 * @param {string} key of localStorage
 * @returns {any} null: nothing
 */
export function kept(key: string): any;
/**
 * @param {string} key of localStorage
 * @param {unknown} value
 */
export function keep(key: string, value: unknown): void;
/** @returns {DeviceAuth | null} */
export function device(): DeviceAuth | null;
/** @param {DeviceAuth} d */
export function keepDevice({ id, key }: DeviceAuth): void;
/**
 * Calls back when another tab of this device was given a new identity.
 * @param {AbortSignal} signal ends it
 * @param {() => void} changed
 */
export function watchDevice(signal: AbortSignal, changed: () => void): void;
/**
 * Replaces a value by what change makes of it, in one transaction. Where
 * IndexedDB fails, change is still called, with nothing.
 * @template T
 * @param {string} key
 * @param {(value: any) => T} change undefined removes
 * @returns {Promise<T>} the new value
 */
export function update<T>(key: string, change: (value: any) => T): Promise<T>;
/**
 * Remembers that a delivery was notified on this device.
 * @param {string} id
 */
export function markShown(id: string): Promise<string[]>;
export function pushMemory(): PushMemory;
export function keepPushMemory(m: PushMemory): void;
export function wasShown(id: string): Promise<boolean>;
/**
 * Whether this device wants push, and what the hub took last.
 */
export type PushMemory = {
    wanted?: boolean;
    endpoint?: string;
    key?: string;
    at?: number;
};
import type { DeviceAuth } from './types.js';
