// A worker that a host had before it took the SDK's.
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('push', (event) => {
  const { host } = event.data.json();
  if (!host) return;
  event.stopImmediatePropagation();
  event.waitUntil(self.registration.showNotification(host, { tag: 'host', data: { host, tag: 'host', conversation: 'c1', agent: 'mei' } }));
});
self.addEventListener('notificationclick', (event) => {
  if (!event.notification.data.host) return;
  event.notification.close();
  event.waitUntil(self.clients.openWindow('/host-clicked'));
});
self.addEventListener('fetch', (event) => {
  if (new URL(event.request.url).pathname === '/strict/fetched') event.respondWith(new Response('by the host'));
});
importScripts('{{hub}}/sdk/dist/sw.js');
