/** What is wrong with a flag, a file, a model or a server; the message is for whoever typed the command. */
export class BenchError extends Error {}
