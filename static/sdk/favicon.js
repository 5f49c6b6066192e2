/**
 * The unread total in the favicon. Loaded with the first unread message; it
 * imports nothing, so that it is a file by itself.
 * @module
 */

const SIZE = 64;

/**
 * Draws the total over the page's icon.
 * @returns {{set(total: number): void, stop(): void}} stop restores the host's icon
 */
export function faviconCount() {
  const links = () => [...document.querySelectorAll('link[rel~="icon"]')].filter((l) => l !== mine);
  const mine = document.createElement('link');
  mine.rel = 'icon';
  /** @type {Map<Element, string>} the host's links, which stay where its framework knows them, with their rel */
  const aside = new Map();
  let shown = 0;
  /** @type {Promise<HTMLImageElement | null> | undefined} */
  let icon;

  const restore = () => {
    mine.remove();
    for (const [l, rel] of aside) {
      l.setAttribute('rel', rel);
      l.parentNode?.insertBefore(l, l.nextSibling); // Firefox looks at what comes in
    }
    aside.clear();
  };
  /** @param {number} n */
  const set = async (n) => {
    shown = n;
    if (n <= 0) return restore();
    icon ??= loadIcon(/** @type {HTMLLinkElement | undefined} */ (links()[0])?.href ?? '/favicon.ico');
    const image = await icon;
    const url = n === shown ? draw(image, n) ?? draw(null, n) : null;
    if (!url) return;
    // The browser takes the last fitting link: while the count stands, the
    // host's links step aside.
    for (const l of links()) {
      aside.set(l, l.getAttribute('rel') ?? '');
      l.setAttribute('rel', 'caac-aside');
    }
    mine.type = 'image/png';
    mine.href = url;
    if (!mine.isConnected) document.head.append(mine);
  };
  return {
    set: (n) => void set(n),
    stop: () => void set(0),
  };
}

/**
 * @param {string} url
 * @returns {Promise<HTMLImageElement | null>}
 */
function loadIcon(url) {
  return new Promise((resolve) => {
    const image = new Image(SIZE, SIZE);
    image.crossOrigin = 'anonymous';
    image.onload = () => resolve(image);
    image.onerror = () => resolve(null);
    image.src = url;
  });
}

/**
 * @param {HTMLImageElement | null} image
 * @param {number} n
 * @returns {string | null} a data URL
 */
function draw(image, n) {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = SIZE;
  const c = canvas.getContext('2d');
  if (!c) return null;
  const text = n > 99 ? '99+' : String(n);
  try {
    if (image) c.drawImage(image, 0, 0, SIZE, SIZE);
    const r = image ? 20 : 30;
    const at = image ? SIZE - r : SIZE / 2;
    c.fillStyle = '#d32f2f';
    c.beginPath();
    c.arc(at, at, r, 0, 2 * Math.PI);
    c.fill();
    c.fillStyle = '#fff';
    c.font = `bold ${Math.round((r * 1.5) / (text.length > 1 ? text.length * 0.65 : 1))}px sans-serif`;
    c.textAlign = 'center';
    c.textBaseline = 'middle';
    c.fillText(text, at, at + 2);
    return canvas.toDataURL('image/png');
  } catch {
    return null;
  }
}
