// What the stream tells of the place that the page is served for.

let state;
export const world = () => state;
export const setWorld = (now) => { state = now; };
export const simulatesWeChat = () => !!state?.wechat.simulated;
export const simulatesAWS = () => !!state?.aws.simulated;

const learnt = new Map(); // names that GET /accounts gave
export const learnNames = (accounts) => accounts.forEach((a) => { if (a.name) learnt.set(a.appid, a.name); });
export const nameOf = (appid) => learnt.get(appid) || state?.names[appid] || appid;
