/**
 * @param {Options} options
 * @returns {URL} the hub's base, with a slash at its end
 * @throws {TypeError} says what is wrong and what is allowed
 */
export function checkOptions(options: Options): URL;
import type { Options } from './types.js';
