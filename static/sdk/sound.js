/**
 * The sound that goes with toasts. Loaded on devices where the agent has turned
 * it on; it imports nothing, so that it is a file by itself.
 * @module
 */

// One sound tells of all that comes within it, to whichever tabs.
const TOGETHER = 1_500;
const START_WITHIN = 1_000;
const TOUCHES = ['click', 'keydown'];

/** @param {number} millis */
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

/** @param {AudioContext} audio */
function chime(audio) {
  const tone = new OscillatorNode(audio, { frequency: 660 });
  const volume = new GainNode(audio, { gain: 0.2 });
  const now = audio.currentTime;
  tone.frequency.setValueAtTime(880, now + 0.12);
  volume.gain.exponentialRampToValueAtTime(0.001, now + 0.5);
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(now + 0.5);
}

export function createSound() {
  /** @type {AudioContext | undefined} */
  let audio;

  // Browsers let a page be heard once a person has clicked or typed in it;
  // Safari only what is made then.
  const touched = () => {
    audio ??= new AudioContext();
  };
  for (const type of TOUCHES) addEventListener(type, touched, true);

  return {
    /**
     * Sounds in one of the device's tabs.
     * @returns {Promise<boolean>} false: the browser doesn't let this one
     */
    async play() {
      if (navigator.userActivation?.hasBeenActive) touched();
      if (!audio) return false;
      const here = audio;
      await Promise.race([here.resume(), pause(START_WITHIN)]);
      if (here.state !== 'running') return false;
      const ring = async () => {
        chime(here);
        await pause(TOGETHER);
        if (here.state === 'running') await here.suspend();
      };
      if (navigator.locks) void navigator.locks.request('caac.sound', { ifAvailable: true }, async (mine) => mine && ring());
      else void ring();
      return true;
    },
    stop() {
      for (const type of TOUCHES) removeEventListener(type, touched, true);
      void audio?.close();
    },
  };
}
