// The service worker of pages that have no other. A host with its own worker
// imports sdk/sw-push.js there instead.
importScripts('sdk/sw-push.js');

// It serves no pages, so a new version may take over at once.
self.addEventListener('install', () => {
  void /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self)).skipWaiting();
});
