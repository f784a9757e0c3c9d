/**
 * The types of actorcred.js. `Client<Player>` knows the methods of the interface `Player`, which
 * `actorcred stubs MODULE:Player --language ts` writes.
 */

/** A login or a call failed; `code` says why. Try again after `retryAfter` seconds, if not null. */
export class CredError extends Error {
  constructor(code: string, message: string, retryAfter?: number | null);
  readonly code: string;
  readonly retryAfter: number | null;
}

export type Listener = (...params: any[]) => unknown;

/** The client's own events; all other names are those of the server's notifications and calls. */
export interface Events {
  slow: () => unknown;
  reconnecting: (error: CredError, seconds: number) => unknown;
  reconnected: (complete: boolean) => unknown;
  closed: (error: CredError) => unknown;
}

export interface Options {
  username?: string;
  password?: string;
  token?: string;
  interface?: string | string[];
  storage?: Pick<Storage, "getItem" | "setItem" | "removeItem"> | null;
  timeout?: number;
  loginTimeout?: number;
  notifications?: boolean;
  info?: Record<string, unknown>;
  listeners?: Record<string, Listener>;
  client?: [name: string, version: string];
}

type Name<I> = keyof I & string;
type Params<F> = F extends (...params: infer P) => unknown ? P : never;
type Result<F> = F extends (...params: any[]) => infer R ? R : never;

/** A logged-in client, whose avatar has the methods of `I`. */
export class Client<I = any> {
  private constructor();
  readonly avatarId: string | null;
  readonly interface: string;
  readonly session: string;
  readonly limits: Record<string, any>;
  readonly notifications: number;

  on<N extends string>(name: N, listener: N extends keyof Events ? Events[N] : Listener): this;

  call<M extends Name<I>>(method: M, ...params: Params<I[M]>): Promise<Result<I[M]>>;
  call(method: `cred.${string}`, ...params: unknown[]): Promise<any>;

  notify<M extends Name<I>>(method: M, ...params: Params<I[M]>): boolean;

  reauthenticate(password?: string): Promise<void>;
  reconnectNow(): boolean;
  close(): Promise<void>;
}

export function connect<I = any>(url: string, options?: Options): Promise<Client<I>>;

export function resume<I = any>(url: string, options?: Options): Promise<Client<I> | null>;
