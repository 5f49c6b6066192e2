const report = (kind, detail) => fetch("/report", { method: "POST", body: JSON.stringify({ kind, ...detail }) });

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => event.waitUntil((async () => {
  const { title, body, tag, badge } = event.data.json();
  await self.registration.showNotification(title, { body, tag });
  if (badge !== undefined) await navigator.setAppBadge?.(badge);
  await report("push", { title });
})()));

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil((async () => {
    const [page] = await self.clients.matchAll({ type: "window" });
    if (page) await page.focus();
    else await self.clients.openWindow("/?opened");
    await report("click", { title: event.notification.title });
  })());
});

self.addEventListener("notificationclose", (event) =>
  event.waitUntil(report("close", { title: event.notification.title })));
