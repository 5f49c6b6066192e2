/**
 * What kind of device this is, in words.
 * @module
 */
/**
 * The device in words.
 * @param {string} ua User-Agent
 */
export function deviceLabel(ua: string): string;
/** The hub's word for the kind of device. */
export function platform(): "android" | "ios-homescreen" | "ios" | "desktop";
