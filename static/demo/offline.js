/**
 * What the app shows while the hub can't be reached, in place of any of its pages.
 * @module
 */
import { translate } from './strings.js';

const LOOK_EVERY = 5_000;

translate();
document.getElementById('again')?.addEventListener('click', () => location.reload());
addEventListener('online', () => location.reload());
setInterval(async () => {
  if (document.visibilityState !== 'visible') return;
  const answer = await fetch('/livez', { cache: 'no-store' }).catch(() => null);
  if (answer?.ok) location.reload();
}, LOOK_EVERY);
