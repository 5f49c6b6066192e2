// What a host writes that has a bundler and TypeScript.
import { connect, HubError, type Client, type Counts, type Options, type PushResult, type Settings, type State } from 'caac-hub';

const options: Options = {
  url: 'https://hub.example.com',
  token: async () => (await fetch('/token')).text(),
  place: 'inbox',
  serviceWorker: '/worker.js',
  toast: document.body,
  onCounts: ({ total, conversations }: Counts) => console.log(total, conversations[0]?.unread),
  onToast: (show, frame) => show.title !== '' && frame.channel === 'in_app',
  onOpen: (conversation) => location.assign(`#${conversation}`),
  onDuty: (onDuty, mayDuty) => console.log(onDuty && mayDuty),
  onSettings: (settings: Settings, self) => console.log(settings.device.permission, self.code),
  onState: (state: State, { code, retryMillis }) => console.log(state, code ?? 0, retryMillis ?? 0),
  onWithdraw: (conversations, reason) => console.log(conversations.join(), reason),
  conversationUrl: (conversation) => `/inbox/${conversation}`,
};
const client: Client = connect(options);

export async function settings(): Promise<string> {
  const push: PushResult = await client.enablePush();
  if (!push.ok) return `${push.side ?? ''} ${push.reason ?? ''}: ${push.detail}`;
  try {
    await client.preferences({ preview: 'sender' });
    await client.sound(true);
    const [first] = await client.devices();
    if (first && !first.current) await client.forget(first.device);
    const test = await client.pushTest();
    return `${test.receivedMillis ?? 'never'} ${client.self?.name ?? ''} ${test.silenced.join()}`;
  } catch (e) {
    if (e instanceof HubError) return `${e.status} ${e.code}: ${e.message}`;
    throw e;
  }
}

// @ts-expect-error: a token is needed
connect({});
// @ts-expect-error: there is no such option
connect({ token: async () => '', onCount: () => {} });
// @ts-expect-error: a preview has three kinds
void client.preferences({ preview: 'some' });
client.close();
