// Ask asks one question and prints the answer with its citations.
//
//	go run ./ask "How deep is the harbour?" notes
//
// MELD_AGENTS_ADDRESS says where the agents service is, MELD_TOKEN who asks.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	agentsv1 "meldrag.invalid/example/gen/meldrag/agents/v1"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: ask QUESTION [COLLECTION...]")
		os.Exit(2)
	}
	if err := ask(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, explained(err))
		os.Exit(1)
	}
}

func ask(question string, collections []string) error {
	address := os.Getenv("MELD_AGENTS_ADDRESS")
	if address == "" {
		address = "127.0.0.1:50051"
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	if token := os.Getenv("MELD_TOKEN"); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	events, err := agentsv1.NewAgentServiceClient(connection).RunAgent(ctx, &agentsv1.RunAgentRequest{
		AgentId: "auto", Message: question, CollectionIds: collections,
	})
	if err != nil {
		return err
	}
	for {
		event, err := events.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the events ended before the run")
		}
		if err != nil {
			return err
		}
		// What was written so far may be taken back (text.reset); the text that stands is the result's.
		ended := event.GetEnded()
		if ended == nil {
			continue
		}
		if ended.Outcome != agentsv1.RunOutcome_RUN_OUTCOME_SUCCEEDED {
			return fmt.Errorf("no answer: %s (%s)", ended.Error.GetMessage(), ended.Error.GetReason())
		}
		fmt.Println(ended.Result.Text)
		for _, citation := range ended.Result.Citations {
			fmt.Printf("[%d] %s, bytes %d-%d: “%s”\n",
				citation.Number, citation.Title, citation.ByteStart, citation.ByteEnd, citation.Quote)
		}
		return nil
	}
}

// explained adds the reason that the service gave to an error of a call.
func explained(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return fmt.Sprintf("%s (%s)", status.Convert(err).Message(), info.Reason)
		}
	}
	return err.Error()
}
