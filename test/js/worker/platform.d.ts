// What browsers have and TypeScript's worker library does not know.

interface NotificationOptions {
  renotify?: boolean;
  image?: string;
  actions?: { action: string; title: string; icon?: string }[];
}
