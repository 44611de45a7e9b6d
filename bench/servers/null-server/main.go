// A gRPC server that answers every unary call with the same bytes, as cheaply as Go does it: what the load generator is measured
// against. Its first line is the port.
package main

import (
	"encoding/base64"
	"fmt"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
)

// verbatim hands messages on as the bytes that they are.
type verbatim struct{}

func (verbatim) Name() string { return "verbatim" }

func (verbatim) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }

func (verbatim) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = data
	return nil
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: null-server PORT ANSWER_IN_BASE64")
	}
	answer, err := base64.StdEncoding.DecodeString(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	respond := func(_ any, stream grpc.ServerStream) error {
		var request []byte
		if err := stream.RecvMsg(&request); err != nil {
			return err
		}
		return stream.SendMsg(&answer)
	}
	server := grpc.NewServer(grpc.ForceServerCodec(verbatim{}), grpc.UnknownServiceHandler(respond))
	log.Fatal(server.Serve(listener))
}
