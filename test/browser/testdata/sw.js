const report = (kind, detail) => fetch("/report", { method: "POST", body: JSON.stringify({ kind, ...detail }) });

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

// The report is not waited for: a notification gone before the event ends would
// be as if none had been shown, and Chromium would show one of its own.
self.addEventListener("push", (event) => {
  const { title, body, tag, badge } = event.data.json();
  const shown = (async () => {
    await self.registration.showNotification(title, { body, tag });
    if (badge !== undefined) await navigator.setAppBadge?.(badge);
  })();
  event.waitUntil(shown);
  shown.then(() => report("push", { title }));
});

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
