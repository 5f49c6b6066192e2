// The app's service worker: the SDK's part, and a shell that says it is offline.
// It keeps nothing else; every page comes from the hub while that answers.
importScripts('/sdk/sw-push.js');

(() => {
  const sw = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));

  const CACHE = 'caac-shell';
  const SHELL = '/demo/offline';
  const FILES = [
    SHELL, '/base.css', '/demo/offline.css', '/demo/offline.js', '/demo/icon.svg',
    '/demo/strings.js', '/demo/strings-en.js', '/demo/strings-zh-tw.js', '/demo/strings-fixed.js',
  ];
  /** What a proxy answers while the hub does not. */
  const AWAY = [502, 503, 504];

  async function keep() {
    const cache = await caches.open(CACHE);
    await cache.addAll(FILES.map((url) => new Request(url, { cache: 'no-cache' })));
  }

  async function shell() {
    return (await caches.match(SHELL, { cacheName: CACHE })) ?? Response.error();
  }

  /** @param {FetchEvent} event */
  async function page(event) {
    try {
      const answer = await fetch(event.request);
      if (!AWAY.includes(answer.status)) {
        // It may have changed since the worker was installed.
        event.waitUntil(keep().catch(() => {}));
        return answer;
      }
    } catch {
      // No network, or no hub.
    }
    return shell();
  }

  /** @param {Request} request */
  async function file(request) {
    const answer = await fetch(request).catch(() => null);
    if (answer && !AWAY.includes(answer.status)) return answer;
    return (await caches.match(request, { cacheName: CACHE })) ?? answer ?? Response.error();
  }

  sw.addEventListener('install', (event) => {
    // Push must work even where the shell can't be had.
    event.waitUntil(keep().catch(() => {}).then(() => sw.skipWaiting()));
  });

  sw.addEventListener('fetch', (event) => {
    const { request } = event;
    const { origin, pathname } = new URL(request.url);
    if (request.method !== 'GET' || origin !== location.origin) return;
    if (request.mode === 'navigate' && pathname.startsWith('/agent/')) event.respondWith(page(event));
    else if (FILES.includes(pathname)) event.respondWith(file(request));
  });
})();
